/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-limit, what the machine can do at best: a bare loop sends blocks of an image in memory, with
 * reply headers in between, over the kind of socket a server would use; a second thread receives
 * into one buffer. No protocol, no checks. With --asked the receiver asks for each batch as an NBD
 * client would, so that both sides wait for each other. Prints one line of JSON, CPU time being
 * that of the sending thread. Nothing is served: this is for bench/run and for who reads its
 * tables.
 */
#include "nbd.h"
#include "opt.h"
#include "sock.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

enum { RX_BYTES = 1 << 20, BATCH_MAX = 256, PIPE_BYTES = 1 << 20 };

static struct options {
	const char *image;
	uint64_t size, block, batch, seconds;
	bool splice, copy, asked, tcp, help;
} opts = {.size = 512 << 20, .block = 4096, .batch = 32, .seconds = 2};

#define FIELD(name) offsetof(struct options, name)

static const struct opt rows[] = {
	{"image", 'i', OPT_TEXT, FIELD(image), "PATH", 0, 0,
		"send this file (default: one of --size in memory)"},
	{"size", 0, OPT_SIZE, FIELD(size), "BYTES", 1 << 20, 1ULL << 40, "default 512M"},
	{"bs", 'b', OPT_SIZE, FIELD(block), "BYTES", 512, 32 << 20, "bytes of a block"},
	{"batch", 'd', OPT_NUMBER, FIELD(batch), "N", 1, BATCH_MAX,
		"blocks of one sendmsg, or asked for at a time"},
	{"splice", 0, OPT_FLAG, FIELD(splice), NULL, 0, 0,
		"file to pipe to socket, in order; otherwise from a mapping, at random places"},
	{"copy", 0, OPT_FLAG, FIELD(copy), NULL, 0, 0, "copy into a buffer first and send that"},
	{"asked", 0, OPT_FLAG, FIELD(asked), NULL, 0, 0, "send a batch only when it is asked for"},
	{"tcp", 0, OPT_FLAG, FIELD(tcp), NULL, 0, 0, "over TCP on loopback, not a unix socket"},
	{"seconds", 's', OPT_NUMBER, FIELD(seconds), "N", 1, 3600, "how long"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
};

static const struct opt_set option_set = {
	"xnbd-limit [OPTION ...]", "Measures a bare sending loop.", rows, ARRAY_LEN(rows)};

struct sender {
	int socket, image, pipe[2];
	uint64_t size;   /* of the image, whole blocks */
	uint8_t *map;    /* the image */
	uint8_t *buffer; /* --copy: a batch */
	uint64_t next;   /* --splice: offset */
	uint64_t random;
	uint64_t sent; /* blocks */
	double seconds, cpu;
	uint8_t heads[BATCH_MAX][NBD_SIMPLE_REPLY_BYTES];
	struct iovec out[2 * BATCH_MAX];
};

static double clock_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Whole transfers on blocking sockets. */
static int send_vector(int fd, struct iovec *out, size_t count)
{
	while (count > 0) {
		struct msghdr msg = {.msg_iov = out, .msg_iovlen = count};
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		for (; count > 0 && (size_t)n >= out->iov_len; out++, count--)
			n -= (ssize_t)out->iov_len;
		if (count > 0) {
			out->iov_base = (uint8_t *)out->iov_base + n;
			out->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* LEN bytes are taken from FD and forgotten. */
static int swallow(int fd, uint8_t *rx, uint64_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, rx, MIN_OF(len, (uint64_t)RX_BYTES), 0);

		if (n <= 0)
			return -1;
		len -= (uint64_t)n;
	}
	return 0;
}

/* xorshift64 */
static uint64_t random_offset(struct sender *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random % (s->size / opts.block) * opts.block;
}

static int send_mapped(struct sender *s)
{
	for (uint64_t i = 0; i < opts.batch; i++) {
		uint8_t *data = s->map + random_offset(s);

		if (s->buffer)
			data = memcpy(s->buffer + i * opts.block, data, opts.block);
		s->out[2 * i] = (struct iovec){s->heads[i], NBD_SIMPLE_REPLY_BYTES};
		s->out[2 * i + 1] = (struct iovec){data, opts.block};
	}
	return send_vector(s->socket, s->out, 2 * opts.batch);
}

static int splice_block(struct sender *s)
{
	off_t at = (off_t)s->next;
	uint64_t in = 0, out = 0;

	while (out < opts.block) {
		ssize_t n = in == opts.block ? 0
					     : splice(s->image, &at, s->pipe[1], NULL,
						       opts.block - in, SPLICE_F_NONBLOCK);
		in += n > 0 ? (uint64_t)n : 0;
		n = splice(s->pipe[0], NULL, s->socket, NULL, in - out, SPLICE_F_MOVE);
		if (n <= 0)
			return -1;
		out += (uint64_t)n;
	}
	s->next = (s->next + opts.block) % s->size;
	return 0;
}

static int send_spliced(struct sender *s)
{
	for (uint64_t i = 0; i < opts.batch; i++) {
		if (send(s->socket, s->heads[i], NBD_SIMPLE_REPLY_BYTES, MSG_MORE | MSG_NOSIGNAL) <
			0)
			return -1;
		if (splice_block(s) < 0)
			return -1;
	}
	return 0;
}

static void *sender_main(void *arg)
{
	struct sender *s = arg;
	double began = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	uint8_t asked[BATCH_MAX * NBD_REQUEST_BYTES];

	while (s->seconds < (double)opts.seconds) {
		if (opts.asked && swallow(s->socket, asked, opts.batch * NBD_REQUEST_BYTES) < 0)
			break;
		if ((opts.splice ? send_spliced(s) : send_mapped(s)) < 0)
			break;
		s->sent += opts.batch;
		s->seconds = clock_of(CLOCK_MONOTONIC) - began;
	}
	s->cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	shutdown(s->socket, SHUT_RDWR);
	return NULL;
}

static void receive(int fd)
{
	static uint8_t rx[RX_BYTES], ask[BATCH_MAX * NBD_REQUEST_BYTES];
	uint64_t bytes = opts.batch * (opts.block + NBD_SIMPLE_REPLY_BYTES);
	int lost = 0;

	while (lost == 0) {
		if (opts.asked)
			send(fd, ask, opts.batch * NBD_REQUEST_BYTES, MSG_NOSIGNAL);
		lost = swallow(fd, rx, bytes);
	}
}

static int tcp_pair(int fds[2])
{
	struct sockaddr_in where = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(where);
	CLEANUP_FD int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&where, len) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&where, &len) < 0)
		return -1;
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fds[0], (struct sockaddr *)&where, len) < 0)
		return -1;
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fds[1] < 0 ? -1 : 0;
}

static int open_image(struct sender *s)
{
	off_t size;

	s->image = opts.image ? open(opts.image, O_RDONLY | O_CLOEXEC)
			      : memfd_create("image", MFD_CLOEXEC);
	if (s->image < 0 || (!opts.image && posix_fallocate(s->image, 0, (off_t)opts.size) != 0) ||
		(size = lseek(s->image, 0, SEEK_END)) < 0)
		return -1;
	s->size = round_down((uint64_t)size, opts.block);
	if (s->size == 0)
		return -1;
	/* Page faults are not what is measured: all pages are there before. */
	s->map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, s->image, 0);
	return s->map == MAP_FAILED || madvise(s->map, s->size, MADV_POPULATE_READ) < 0 ? -1 : 0;
}

/* The sending end as the server prepares its own, but that it may wait. */
static int make_pair(int fds[2])
{
	int made =
		opts.tcp ? tcp_pair(fds) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);

	if (made < 0)
		return -1;
	sock_prepare(fds[0]);
	sock_grow(fds[0]);
	return fcntl(fds[0], F_SETFL, fcntl(fds[0], F_GETFL) & ~O_NONBLOCK);
}

static int prepare(struct sender *s, int fds[2])
{
	if (open_image(s) < 0) {
		fprintf(stderr, "xnbd-limit: image: %s\n", strerror(errno));
		return -1;
	}
	if (opts.copy)
		s->buffer = calloc(opts.batch, opts.block);
	if (make_pair(fds) < 0 || pipe2(s->pipe, O_CLOEXEC) < 0 ||
		fcntl(s->pipe[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) {
		fprintf(stderr, "xnbd-limit: socket: %s\n", strerror(errno));
		return -1;
	}
	s->socket = fds[0];
	s->random = 88172645463325252ULL;
	return 0;
}

static int report(const struct sender *s)
{
	double blocks = (double)s->sent, bytes = blocks * (double)opts.block;

	if (s->seconds < (double)opts.seconds) {
		fprintf(stderr, "xnbd-limit: the loop broke: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	printf("{\"requests\": %.0f, \"seconds\": %.4f, \"per_second\": %.0f, \"bytes_per_second\": %.0f, "
	       "\"cpu\": %.4f, \"cpu_per_million\": %.4f, \"cpu_per_gib\": %.4f}\n",
		blocks, s->seconds, blocks / s->seconds, bytes / s->seconds, s->cpu,
		s->cpu * 1e6 / blocks, s->cpu * (1 << 30) / bytes);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct sender sender;
	pthread_t thread;
	struct err err;
	int rest, fds[2];

	if (opt_parse(&option_set, argc, argv, &opts, &rest, &err) < 0) {
		fprintf(stderr, "xnbd-limit: %s\n", err.text);
		return 2;
	}
	if (opts.help) {
		opt_help(&option_set);
		return EXIT_SUCCESS;
	}
	if (prepare(&sender, fds) < 0)
		return EXIT_FAILURE;
	pthread_create(&thread, NULL, sender_main, &sender);
	receive(fds[1]);
	pthread_join(thread, NULL);
	return report(&sender);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Origins of tests; see origins.h. Real servers die with the test (PR_SET_PDEATHSIG), fakes are
 * threads that look for `stop` every few milliseconds. What goes wrong here ends the test program.
 */
#include "origins.h"

#include "check.h"
#include "clock.h"
#include "proc.h"
#include "rnd.h"
#include "sock.h"
#include "util.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { ARGS_MAX = 32, START_MS = 10000, LOOK_MS = 5 };

static bool find(const char *name, char *out, size_t room)
{
	static const char *const folders[] = {"/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(out, room, "%s/%s", folders[i], name);
		if (access(out, X_OK) == 0)
			return true;
	}
	return false;
}

bool origins_have(const char *programs)
{
	const char *ci = getenv("CI");
	char list[256], path[512], *save = NULL;

	snprintf(list, sizeof(list), "%s", programs);
	for (char *p = strtok_r(list, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		if (find(p, path, sizeof(path)))
			continue;
		fprintf(stderr, "%s is not installed\n", p);
		CHECK(!ci || strcmp(ci, "true") != 0);
		return false;
	}
	return true;
}

static void name(struct served *s, const char *path)
{
	snprintf(s->socket, sizeof(s->socket), "%s", path);
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s", path);
}

static void await(const struct served *s)
{
	uint64_t until = clock_ms() + START_MS;
	int fd;

	while ((fd = sock_connect_unix(s->socket, NULL)) < 0) {
		CHECK(clock_ms() < until);
		poll(NULL, 0, LOOK_MS);
	}
	close(fd);
}

void origins_spawn(struct served *s, const char *path, const char *command)
{
	char text[1024], program[256], *argv[ARGS_MAX], *save = NULL, *word;
	size_t n = 0;

	name(s, path);
	unlink(s->socket);
	CHECK(snprintf(text, sizeof(text), "%s", command) < (int)sizeof(text));
	for (word = strtok_r(text, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		CHECK(n < ARGS_MAX - 1);
		argv[n++] = strcmp(word, "SOCKET") == 0 ? s->socket : word;
	}
	argv[n] = NULL;
	CHECK(find(argv[0], program, sizeof(program)));
	argv[0] = program;
	s->pid = proc_spawn(argv, NULL, 0, true);
	CHECK(s->pid > 0);
}

void origins_start(struct served *s, const char *path, const char *command)
{
	origins_spawn(s, path, command);
	await(s);
}

void origins_signal(const struct served *s, int number)
{
	CHECK(kill(s->pid, number) == 0);
	if (number == SIGSTOP) /* some of its threads may run for a moment */
		CHECK(waitpid(s->pid, NULL, WUNTRACED) == s->pid);
}

void origins_end(struct served *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

uint16_t origins_port(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, (struct sockaddr *)&sa, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
	return ntohs(sa.sin_port);
}

uint8_t origins_pattern(uint64_t offset)
{
	return (uint8_t)((offset & ~7ull) >> (8 * (7 - offset % 8)));
}

bool origins_is_pattern(const uint8_t *bytes, uint64_t length, uint64_t offset)
{
	for (uint64_t i = 0; i < length; i++) {
		if (bytes[i] != origins_pattern(offset + i))
			return false;
	}
	return true;
}

/* Waits for input. False: the fake is to stop. */
static bool has_input(struct fake *f, struct pollfd *fds, nfds_t count)
{
	while (!f->stop) {
		if (poll(fds, count, LOOK_MS) > 0)
			return true;
	}
	return false;
}

static bool read_all(struct fake *f, int fd, void *bytes, size_t len)
{
	for (size_t got = 0; got < len;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t r = has_input(f, &p, 1) ? read(fd, (char *)bytes + got, len - got) : 0;

		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

static bool send_all(int fd, const void *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Copies what is there, at most MOST bytes. False at the end of the connection. */
static bool copy(int from, int to, uint64_t most, uint64_t *copied)
{
	char bytes[16384];
	ssize_t r = read(from, bytes, MIN_OF((uint64_t)sizeof(bytes), most));

	if (r <= 0 || !send_all(to, bytes, (size_t)r))
		return false;
	*copied += (uint64_t)r;
	return true;
}

static uint64_t choose_cut(struct fake *f, struct rnd *rnd)
{
	uint64_t min = f->cut_min, max = f->cut_max;

	return max == UINT64_MAX ? max : min + rnd_below(rnd, max - min + 1);
}

static void relay(struct fake *f, int client, struct rnd *rnd)
{
	CLEANUP_FD int target = sock_connect_unix(f->target, NULL);
	struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = target, .events = POLLIN}};
	uint64_t cut = choose_cut(f, rnd), back = 0, forth = 0;
	bool ok = target >= 0;

	while (ok && back < cut && has_input(f, fds, 2)) {
		if (fds[0].revents)
			ok = copy(client, target, UINT64_MAX, &forth);
		if (ok && fds[1].revents)
			ok = copy(target, client, cut - back, &back);
	}
}

struct option_head {
	uint64_t magic;
	uint32_t option, length;
} __attribute__((packed));

struct option_reply {
	uint64_t magic;
	uint32_t option, type, length;
} __attribute__((packed));

struct request_head {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
} __attribute__((packed));

struct chunk_head {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie;
	uint32_t length;
} __attribute__((packed));

static bool answer_option(int fd, uint32_t option, uint32_t type, const void *body, uint32_t len)
{
	struct option_reply r = {
		htobe64(0x3e889045565a9), htobe32(option), htobe32(type), htobe32(len)};

	return send_all(fd, &r, sizeof(r)) && (len == 0 || send_all(fd, body, len));
}

/* NBD_OPT_STRUCTURED_REPLY and NBD_OPT_GO are known, nothing else. */
static bool shake_hands(struct fake *f, int fd)
{
	enum { STRUCTURED = 8, GO = 7, ACK = 1, INFO = 3 };
	struct {
		uint16_t type;
		uint64_t size;
		uint16_t flags;
	} __attribute__((packed)) info = {0, htobe64(FAKE_BYTES), htobe16(3)};
	uint32_t flags;
	struct option_head o;
	char body[4096];

	if (!send_all(fd, "NBDMAGICIHAVEOPT\0\3", 18) || !read_all(f, fd, &flags, 4))
		return false;
	while (read_all(f, fd, &o, sizeof(o))) {
		uint32_t option = be32toh(o.option), len = be32toh(o.length);

		if (len > sizeof(body) || !read_all(f, fd, body, len))
			return false;
		if (option == GO)
			return answer_option(fd, option, INFO, &info, sizeof(info)) &&
				answer_option(fd, option, ACK, NULL, 0);
		if (!answer_option(fd, option, option == STRUCTURED ? ACK : 0x80000001u, NULL, 0))
			return false;
	}
	return false;
}

/* One chunk, the last one: of TYPE, with BODY. */
static bool answer(int fd, uint64_t cookie, uint16_t type, const void *body, uint32_t len)
{
	struct chunk_head c = {
		htobe32(0x668e33ef), htobe16(1), htobe16(type), cookie, htobe32(len)};

	return send_all(fd, &c, sizeof(c)) && (len == 0 || send_all(fd, body, len));
}

static bool answer_read(struct fake *f, int fd, const struct request_head *rq)
{
	enum { NONE = 0, HOLE = 2, ERROR = 32769, ERR_SHUTDOWN = 108 };
	struct {
		uint64_t offset;
		uint32_t length;
	} __attribute__((packed)) hole = {rq->offset, rq->length};
	struct {
		uint32_t error;
		uint16_t length;
	} __attribute__((packed)) error = {htobe32(ERR_SHUTDOWN), 0};
	unsigned n = f->reads++;

	if (f->kind == FAKE_SILENCE)
		return answer(fd, rq->cookie, NONE, NULL, 0);
	if (f->kind == FAKE_SHUTDOWN && n == 0)
		return answer(fd, rq->cookie, ERROR, &error, sizeof(error));
	if (f->kind == FAKE_STUCK && rq->offset == 0)
		return true;
	return answer(fd, rq->cookie, HOLE, &hole, sizeof(hole));
}

static void serve(struct fake *f, int fd)
{
	struct request_head rq;

	if (!shake_hands(f, fd))
		return;
	while (read_all(f, fd, &rq, sizeof(rq)) && be16toh(rq.type) == 0) {
		if (!answer_read(f, fd, &rq))
			return;
	}
}

static void *fake_main(void *arg)
{
	struct fake *f = arg;
	struct pollfd p = {.fd = f->listener, .events = POLLIN};
	struct rnd rnd;

	rnd_init(&rnd, 77);
	while (has_input(f, &p, 1)) {
		int client = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0)
			continue;
		f->connections++;
		if (f->kind == FAKE_RELAY)
			relay(f, client, &rnd);
		else
			serve(f, client);
		close(client);
	}
	return NULL;
}

void origins_fake_start(struct fake *f, enum fake_kind kind, const char *path)
{
	f->kind = kind;
	f->stop = false;
	f->connections = f->reads = 0;
	name(&f->served, path);
	f->listener = sock_listen_unix(path, 0600, NULL);
	CHECK(f->listener >= 0);
	CHECK(pthread_create(&f->thread, NULL, fake_main, f) == 0);
}

void origins_fake_end(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	fd_close(&f->listener);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load generator for NBD servers: one thread per connection keeps DEPTH requests in flight, with
 * as few system calls as possible (one send for all requests that became free, one recv for all
 * replies that are there), so that the server is what is measured. Prints one line of JSON.
 */
#include "buf.h"
#include "hist.h"
#include "nbd.h"
#include "opt.h"
#include "peer.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

enum { RX_BYTES = 1 << 20, DEPTH_MAX = 1024, SECTOR = 512 };

enum mode { RANDREAD = 1, RANDWRITE, RANDRW, READ, WRITE, CONNECT };

static struct options {
	const char *unix_path, *host, *port, *export_name, *mode_name;
	uint64_t block, depth, connections, seconds, span, seed;
	bool structured, verify, help;
} opts = {.export_name = "",
	.block = 4096,
	.depth = 1,
	.connections = 1,
	.seconds = 3,
	.seed = 1,
	.mode_name = "randread"};

#define FIELD(name) offsetof(struct options, name)

static const struct opt rows[] = {
	{"unix", 'u', OPT_TEXT, FIELD(unix_path), "PATH", 0, 0, "server's unix socket"},
	{"host", 'H', OPT_TEXT, FIELD(host), "HOST", 0, 0, "or its host"},
	{"port", 'p', OPT_TEXT, FIELD(port), "PORT", 0, 0, "and port"},
	{"export", 'e', OPT_TEXT, FIELD(export_name), "NAME", 0, 0, "export name"},
	{"mode", 'm', OPT_TEXT, FIELD(mode_name), "MODE", 0, 0,
		"randread, randwrite, randrw, read, write or connect"},
	{"bs", 'b', OPT_SIZE, FIELD(block), "BYTES", 512, 32 << 20, "request size"},
	{"depth", 'd', OPT_NUMBER, FIELD(depth), "N", 1, DEPTH_MAX,
		"requests in flight per connection"},
	{"connections", 'c', OPT_NUMBER, FIELD(connections), "N", 1, 4096, "connections"},
	{"seconds", 's', OPT_NUMBER, FIELD(seconds), "N", 1, 3600, "how long"},
	{"span", 0, OPT_SIZE, FIELD(span), "BYTES", 512, 1ULL << 50,
		"use only this much of the export"},
	{"seed", 0, OPT_NUMBER, FIELD(seed), "N", 1, UINT64_MAX, "of the random offsets"},
	{"structured", 0, OPT_FLAG, FIELD(structured), NULL, 0, 0, "ask for structured replies"},
	{"verify", 0, OPT_FLAG, FIELD(verify), NULL, 0, 0, "write stamps, check them when reading"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
};

static const struct opt_set option_set = {
	"load [OPTION ...]", "Loads an NBD server and measures.", rows, ARRAY_LEN(rows)};

static enum mode mode;
static _Atomic bool stopping;

struct slot {
	uint64_t offset, began;
	bool write;
};

struct runner {
	pthread_t thread;
	unsigned number;
	struct peer peer;
	struct slot slots[DEPTH_MAX];
	unsigned free[DEPTH_MAX], free_count;
	uint64_t random, next, done, errors, bad;
	struct hist hist;
	uint8_t *payload, *tx;
	/* the reply being received */
	uint8_t head[NBD_CHUNK_BYTES + 8];
	size_t head_len, head_need;
	uint64_t body, body_at; /* data bytes still to come, and where they belong */
	uint32_t slot;
	bool failed;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* xorshift64 */
static uint64_t next_random(struct runner *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

static uint64_t next_offset(struct runner *r)
{
	uint64_t span = opts.span ? opts.span : r->peer.size, blocks = span / opts.block;

	if (mode == READ || mode == WRITE)
		return (r->next++ * opts.connections + r->number) % blocks * opts.block;
	return next_random(r) % blocks * opts.block;
}

static bool is_write(struct runner *r)
{
	return mode == WRITE || mode == RANDWRITE || (mode == RANDRW && next_random(r) % 2);
}

/* Each sector begins with its own offset. */
static void stamp(uint8_t *p, uint64_t offset)
{
	for (uint64_t i = 0; i < opts.block; i += SECTOR)
		set_u64(p + i, (offset + i) ^ opts.seed);
}

/* Fills tx with headers (and payloads) for all free slots. */
static size_t build(struct runner *r)
{
	uint64_t now = now_ns();
	size_t len = 0;

	while (r->free_count > 0) {
		unsigned i = r->free[--r->free_count];
		struct slot *s = &r->slots[i];
		struct nbd_request rq = {.cookie = i, .length = opts.block};

		s->offset = rq.offset = next_offset(r);
		s->write = is_write(r);
		s->began = now;
		rq.type = s->write ? NBD_CMD_WRITE : NBD_CMD_READ;
		len += nbd_request_encode(r->tx + len, false, &rq);
		if (!s->write)
			continue;
		memcpy(r->tx + len, r->payload, opts.block);
		if (opts.verify)
			stamp(r->tx + len, s->offset);
		len += opts.block;
	}
	return len;
}

static void finish(struct runner *r, uint64_t now, bool error)
{
	hist_add(&r->hist, now - r->slots[r->slot].began);
	r->done++;
	r->errors += error;
	r->free[r->free_count++] = r->slot;
}

/* Only whole sectors inside one piece are looked at. */
static void verify(struct runner *r, const uint8_t *p, size_t len)
{
	uint64_t at = r->slots[r->slot].offset + r->body_at;
	size_t skip = (SECTOR - at % SECTOR) % SECTOR;

	for (; skip + 8 <= len; skip += SECTOR) {
		uint64_t got = get_u64(p + skip);

		r->bad += got != ((at + skip) ^ opts.seed) && got != 0;
	}
}

static void take_header(struct runner *r, uint64_t now)
{
	uint32_t magic = get_u32(r->head);
	uint64_t cookie = get_u64(r->head + 8);

	r->head_len = 0;
	r->head_need = NBD_SIMPLE_REPLY_BYTES;
	r->slot = (uint32_t)cookie;
	r->body_at = 0;
	r->failed = cookie >= opts.depth;
	if (magic == NBD_MAGIC_SIMPLE_REPLY && !r->failed) {
		bool error = get_u32(r->head + 4) != 0;

		if (!error && !r->slots[r->slot].write)
			r->body = opts.block;
		else
			finish(r, now, error);
	} else {
		r->failed = true;
	}
}

/* Structured: one chunk of data or none; what other servers split is not needed here. */
static void take_chunk(struct runner *r, uint64_t now)
{
	uint64_t cookie = get_u64(r->head + 8);
	uint32_t len = get_u32(r->head + 16);
	uint16_t type = get_u16(r->head + 6);

	r->head_len = 0;
	r->slot = (uint32_t)cookie;
	r->failed = cookie >= opts.depth;
	r->body_at = 0;
	if (type == NBD_CHUNK_NONE || r->failed) {
		finish(r, now, false);
		return;
	}
	r->body = len;
	r->errors += (type & 0x8000) != 0;
}

static size_t take_body(struct runner *r, const uint8_t *p, size_t len, uint64_t now)
{
	size_t take = MIN_OF((uint64_t)len, r->body);

	if (opts.verify && !opts.structured)
		verify(r, p, take);
	r->body -= take;
	r->body_at += take;
	if (r->body == 0)
		finish(r, now, false);
	return take;
}

static void take(struct runner *r, const uint8_t *p, size_t len)
{
	uint64_t now = now_ns();

	while (len > 0 && !r->failed) {
		size_t used;

		if (r->body > 0) {
			used = take_body(r, p, len, now);
		} else {
			used = MIN_OF(len, r->head_need - r->head_len);
			memcpy(r->head + r->head_len, p, used);
			r->head_len += used;
			if (r->head_len == r->head_need)
				opts.structured ? take_chunk(r, now) : take_header(r, now);
		}
		p += used;
		len -= used;
	}
}

/* Sends without waiting for ever while replies could pile up: receives whenever the socket is full.
 */
static int exchange(struct runner *r, uint8_t *rx)
{
	size_t len = build(r), sent = 0;

	for (;;) {
		ssize_t n = 0;

		if (sent < len) {
			n = send(r->peer.fd, r->tx + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n > 0)
				sent += (size_t)n;
			else if (errno != EAGAIN)
				return -1;
		}
		n = recv(r->peer.fd, rx, RX_BYTES, sent < len ? MSG_DONTWAIT : 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
		if (n > 0)
			take(r, rx, (size_t)n);
		if (r->failed)
			return -1;
		if (sent == len && r->free_count > 0)
			return 0;
	}
}

static void drain(struct runner *r, uint8_t *rx)
{
	while (r->free_count < opts.depth && !r->failed) {
		ssize_t n = recv(r->peer.fd, rx, RX_BYTES, 0);

		if (n <= 0)
			return;
		take(r, rx, (size_t)n);
	}
}

static void run_requests(struct runner *r)
{
	uint8_t *rx = malloc(RX_BYTES);

	r->tx = malloc(opts.depth * (opts.block + NBD_REQUEST_BYTES));
	r->payload = malloc(opts.block);
	memset(r->payload, 0x5a, opts.block);
	r->head_need = opts.structured ? NBD_CHUNK_BYTES : NBD_SIMPLE_REPLY_BYTES;
	for (unsigned i = 0; i < opts.depth; i++)
		r->free[r->free_count++] = i;
	while (!stopping) {
		if (exchange(r, rx) < 0) {
			fprintf(stderr, "connection %u: lost\n", r->number);
			r->errors++;
			break;
		}
	}
	drain(r, rx);
	free(rx);
	free(r->tx);
	free(r->payload);
}

static void run_connects(struct runner *r, const struct peer_address *a)
{
	while (!stopping) {
		uint64_t began = now_ns();

		if (peer_open(&r->peer, a) < 0) {
			r->errors++;
			return;
		}
		peer_close(&r->peer);
		hist_add(&r->hist, now_ns() - began);
		r->done++;
	}
}

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct peer_address a = {
		opts.unix_path, opts.host, opts.port, opts.export_name, opts.structured};

	if (mode == CONNECT)
		run_connects(r, &a);
	else
		run_requests(r);
	peer_close(&r->peer);
	return NULL;
}

static enum mode find_mode(const char *name)
{
	static const char *const names[] = {
		"", "randread", "randwrite", "randrw", "read", "write", "connect"};

	for (unsigned i = 1; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0)
			return (enum mode)i;
	}
	return 0;
}

static int open_all(struct runner *runners)
{
	struct peer_address a = {
		opts.unix_path, opts.host, opts.port, opts.export_name, opts.structured};

	for (unsigned i = 0; i < opts.connections; i++) {
		runners[i].number = i;
		runners[i].peer.fd = -1;
		runners[i].random = opts.seed * 0x9e3779b97f4a7c15ULL + i + 1;
		if (mode != CONNECT && peer_open(&runners[i].peer, &a) < 0)
			return -1;
	}
	return 0;
}

static int report(const struct runner *runners, double seconds)
{
	struct hist all = {0};
	uint64_t done = 0, errors = 0, bad = 0;

	for (unsigned i = 0; i < opts.connections; i++) {
		hist_merge(&all, &runners[i].hist);
		done += runners[i].done;
		errors += runners[i].errors;
		bad += runners[i].bad;
	}
	printf("{\"requests\": %llu, \"seconds\": %.4f, \"per_second\": %.0f, \"bytes_per_second\": %.0f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"errors\": %llu, \"bad\": %llu}\n",
		(unsigned long long)done, seconds, (double)done / seconds,
		mode == CONNECT ? 0.0 : (double)(done * opts.block) / seconds,
		(double)hist_at(&all, 500) / 1000, (double)hist_at(&all, 990) / 1000,
		(double)hist_at(&all, 999) / 1000, (unsigned long long)errors,
		(unsigned long long)bad);
	return errors || bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct runner *runners;
	struct err err;
	uint64_t began;
	int rest;

	if (opt_parse(&option_set, argc, argv, &opts, &rest, &err) < 0) {
		fprintf(stderr, "load: %s\n", err.text);
		return 2;
	}
	mode = find_mode(opts.mode_name);
	if (opts.help || !mode || (!opts.unix_path && (!opts.host || !opts.port))) {
		opt_help(&option_set);
		return opts.help ? 0 : 2;
	}
	runners = calloc(opts.connections, sizeof(*runners));
	if (!runners || open_all(runners) < 0)
		return EXIT_FAILURE;
	began = now_ns();
	for (unsigned i = 0; i < opts.connections; i++)
		pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]);
	nanosleep(&(struct timespec){.tv_sec = (time_t)opts.seconds}, NULL);
	stopping = true;
	for (unsigned i = 0; i < opts.connections; i++)
		pthread_join(runners[i].thread, NULL);
	return report(runners, (double)(now_ns() - began) / 1e9);
}

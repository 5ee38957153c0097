/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See runner.h. A slot is one request in flight, its number the cookie. Payloads are sent from
 * where they are, never copied; only stamped ones need a buffer of their own for each slot.
 */
#include "runner.h"

#include "nbd.h"
#include "stamp.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { RX_BYTES = 1 << 20, IOVECS_MAX = 1024 /* of one sendmsg */ };

uint64_t runner_now(void)
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
	const struct runner_plan *plan = r->plan;
	uint64_t block = next_random(r);

	if (plan->mode == RUNNER_READ || plan->mode == RUNNER_WRITE)
		block = r->next++ * plan->connections + r->number;
	return plan->from + block % r->blocks * plan->block;
}

static bool is_write(struct runner *r)
{
	enum runner_mode mode = r->plan->mode;

	return mode == RUNNER_WRITE || mode == RUNNER_RANDWRITE ||
		(mode == RUNNER_RANDRW && next_random(r) % 2);
}

/* Bytes that lie behind the last ones share their iovec: headers of reads go as one. */
static void put(struct runner *r, void *bytes, size_t len)
{
	struct iovec *last = &r->out[r->out_count - 1];

	if (r->out_count > 0 && (uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += len;
	else
		r->out[r->out_count++] = (struct iovec){bytes, len};
}

static void put_payload(struct runner *r, unsigned slot)
{
	const struct runner_plan *plan = r->plan;
	uint8_t *payload = r->payload + (plan->verify ? slot * plan->block : 0);

	if (plan->verify)
		stamp_fill(payload, plan->block, r->slots[slot].offset, plan->seed);
	put(r, payload, plan->block);
}

/* Makes all free slots requests. */
static void build(struct runner *r)
{
	uint64_t now = runner_now();
	uint8_t *head = r->heads;

	r->out_count = 0;
	for (; r->free_count > 0 && r->quota > 0; r->quota--) {
		unsigned i = r->free[--r->free_count];
		struct runner_slot *s = &r->slots[i];
		struct nbd_request rq = {.cookie = i, .length = r->plan->block};

		*s = (struct runner_slot){
			.offset = next_offset(r), .began = now, .write = is_write(r)};
		rq.offset = s->offset;
		rq.type = s->write ? NBD_CMD_WRITE : NBD_CMD_READ;
		put(r, head, nbd_request_encode(head, false, &rq));
		head += NBD_REQUEST_BYTES;
		if (s->write)
			put_payload(r, i);
	}
}

/* The first LEN bytes of the iovecs from AT on are sent. Returns the first iovec that is not. */
static int sent(struct runner *r, int at, size_t len)
{
	while (at < r->out_count && len >= r->out[at].iov_len)
		len -= r->out[at++].iov_len;
	if (at < r->out_count) {
		r->out[at].iov_base = (uint8_t *)r->out[at].iov_base + len;
		r->out[at].iov_len -= len;
	}
	return at;
}

static void finish(struct runner *r, unsigned slot, uint64_t now)
{
	const struct runner_slot *s = &r->slots[slot];

	hist_add(&r->hist, now - s->began);
	r->done++;
	r->errors += s->failed;
	r->bad += !s->failed && s->got != (s->write ? 0 : r->plan->block);
	r->free[r->free_count++] = slot;
}

static void check(struct runner *r, const uint8_t *data, size_t len)
{
	const struct runner_plan *plan = r->plan;

	if (plan->verify && data)
		r->bad += stamp_faults(data, len, r->replies.offset, plan->seed, plan->filled);
	else if (plan->verify && plan->filled)
		r->bad += len / STAMP_SECTOR;
}

static int take_event(struct runner *r, enum replies_event event, uint64_t now)
{
	struct replies *in = &r->replies;
	struct runner_slot *s = &r->slots[in->cookie % RUNNER_DEPTH_MAX];

	if (event == REPLIES_BROKEN || in->cookie >= r->plan->depth)
		return -1;
	switch (event) {
	case REPLIES_SIMPLE:
		replies_expect(in, s->offset, s->write ? 0 : r->plan->block);
		break;
	case REPLIES_DATA:
	case REPLIES_HOLE:
		s->got += in->len;
		check(r, event == REPLIES_DATA ? in->data : NULL, in->len);
		break;
	case REPLIES_ERROR:
		s->failed = true;
		break;
	default:
		finish(r, (unsigned)in->cookie, now);
	}
	return 0;
}

static int take(struct runner *r, size_t len)
{
	uint64_t now = runner_now();
	const uint8_t *p = r->rx;
	enum replies_event event;

	while ((event = replies_next(&r->replies, &p, &len)) != REPLIES_MORE) {
		if (take_event(r, event, now) < 0)
			return -1;
	}
	return 0;
}

/* Receives what is there. 1, 0 if nothing is there and WAIT is not set, -1 at the end. */
static int receive(struct runner *r, bool wait)
{
	ssize_t n = recv(r->peer.fd, r->rx, RX_BYTES, wait ? 0 : MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n > 0 && take(r, (size_t)n) == 0 ? 1 : -1;
}

/* Sends all that is built. A full socket is no reason to let replies pile up: that could block both
 * sides for ever. */
static int send_all(struct runner *r)
{
	int at = 0, got = 0;

	while (at < r->out_count && got >= 0) {
		struct msghdr msg = {.msg_iov = r->out + at,
			.msg_iovlen = (size_t)MIN_OF(r->out_count - at, (int)IOVECS_MAX)};
		struct pollfd ready = {r->peer.fd, POLLIN | POLLOUT, 0};
		ssize_t n = sendmsg(r->peer.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (n > 0)
			at = sent(r, at, (size_t)n);
		if (at < r->out_count && (got = receive(r, false)) == 0)
			poll(&ready, 1, -1);
	}
	return got;
}

static bool in_flight(const struct runner *r)
{
	return r->free_count < r->plan->depth;
}

/* One turn: send all that can be, wait for something to come back. */
static int exchange(struct runner *r)
{
	int got;

	build(r);
	got = send_all(r);
	while (got >= 0 && r->free_count == 0)
		got = receive(r, true);
	return got;
}

static void run_requests(struct runner *r)
{
	int got = 0;

	while (!r->plan->stopping && r->quota > 0 && got >= 0)
		got = exchange(r);
	while (got >= 0 && in_flight(r))
		got = receive(r, true);
	if (got < 0) {
		fprintf(stderr, "connection %u: lost\n", r->number);
		r->errors++;
	}
}

static void run_connects(struct runner *r)
{
	while (!r->plan->stopping) {
		uint64_t began = runner_now();

		if (peer_open(&r->peer, &r->plan->where) < 0) {
			r->errors++;
			return;
		}
		peer_close(&r->peer);
		hist_add(&r->hist, runner_now() - began);
		r->done++;
	}
}

static int make_buffers(struct runner *r)
{
	const struct runner_plan *plan = r->plan;

	r->rx = malloc(RX_BYTES);
	r->heads = malloc(plan->depth * NBD_REQUEST_BYTES);
	r->out = calloc(plan->depth * 2, sizeof(*r->out));
	r->payload = malloc(plan->block * (plan->verify ? plan->depth : 1));
	if (!r->rx || !r->heads || !r->out || !r->payload)
		return -1;
	if (plan->mode != RUNNER_READ && plan->mode != RUNNER_RANDREAD)
		memset(r->payload, 0x5a, plan->block * (plan->verify ? plan->depth : 1));
	for (unsigned i = 0; i < plan->depth; i++)
		r->free[r->free_count++] = i;
	return 0;
}

void runner_run(struct runner *r)
{
	if (r->plan->mode == RUNNER_CONNECT)
		run_connects(r);
	else if (make_buffers(r) == 0)
		run_requests(r);
	else
		r->errors++;
	peer_close(&r->peer);
	free(r->rx);
	free(r->heads);
	free(r->out);
	free(r->payload);
}

/* The part of the passes that is this connection's. */
static uint64_t quota(const struct runner *r)
{
	const struct runner_plan *plan = r->plan;
	uint64_t all = plan->passes * r->blocks;

	if (plan->passes == 0)
		return UINT64_MAX;
	return all / plan->connections + (r->number < all % plan->connections);
}

int runner_open(struct runner *r, struct runner_plan *plan, unsigned number)
{
	uint64_t span = plan->span;

	*r = (struct runner){.plan = plan, .number = number, .peer.fd = -1};
	r->random = plan->seed * 0x9e3779b97f4a7c15ULL + number + 1;
	replies_init(&r->replies);
	if (plan->mode == RUNNER_CONNECT)
		return 0;
	if (peer_open(&r->peer, &plan->where) < 0)
		return -1;
	if (span == 0 && r->peer.size > plan->from)
		span = r->peer.size - plan->from;
	r->blocks = span / plan->block;
	if (r->blocks == 0 || !range_inside(plan->from, span, r->peer.size)) {
		fprintf(stderr, "the export has %llu bytes: too small\n",
			(unsigned long long)r->peer.size);
		return -1;
	}
	r->quota = quota(r);
	return 0;
}

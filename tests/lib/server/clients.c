/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clients of a lane; see clients.h. */
#include "clients.h"

#include "buf.h"
#include "check.h"
#include "loop.h"
#include "nbd.h"
#include "util.h"

#include <string.h>
#include <sys/socket.h>

enum { PATIENCE_MS = 20 * 1000, REPLY_BYTES = 16, SIMPLE_MAGIC = 0x67446698 };

static void conn_ended(struct lane *l, struct conn *conn)
{
	struct clients *c = l->owner;

	c->ended++;
	c->conns[conn->id] = NULL;
	conn_free(conn);
}

static void add(struct clients *c, unsigned id)
{
	static const struct features simple;
	struct clients_peer *p = &c->peers[id];
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	c->conns[id] = conn_new(fds[0], id, &simple,
		NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
			NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_CACHE);
	*p = (struct clients_peer){.fd = fds[1], .in = malloc(CLIENTS_IN_BYTES)};
	CHECK(c->conns[id] && p->in);
	lane_adopt(&c->lane, c->conns[id]);
}

void clients_init(struct clients *c, struct storage *st)
{
	const struct lane_limits limits = {
		.requests = 1000, .conn_bytes = 1 << 26, .buffer_bytes = 1 << 26};

	memset(c, 0, sizeof(*c));
	c->threads = io_threads_new(2);
	CHECK(lane_init(&c->lane, st, ENGINE_THREADS, c->threads, &limits, NULL) == 0);
	c->lane.owner = c;
	c->lane.ended = conn_ended;
	for (unsigned i = 0; i < CLIENTS; i++)
		add(c, i);
	clients_turn(c);
}

void clients_end(struct clients *c, void (*meanwhile)(void))
{
	lane_kill(&c->lane);
	for (int ms = 0; c->ended < CLIENTS; ms++) {
		CHECK(ms < PATIENCE_MS);
		loop_turns(&c->lane.reactor, 1);
		if (meanwhile)
			meanwhile();
		usleep(1000);
	}
}

void clients_done(struct clients *c)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		fd_close(&c->peers[i].fd);
		free(c->peers[i].in);
	}
	lane_done(&c->lane);
	io_threads_free(c->threads);
}

/* Takes one reply from what was received; false: not all of it is there. */
static bool take_reply(struct clients *c, struct clients_peer *p)
{
	size_t need = REPLY_BYTES;
	struct clients_asked *a;

	if (p->in_len < need)
		return false;
	CHECK(get_u32(p->in) == SIMPLE_MAGIC && get_u64(p->in + 8) < c->count);
	a = &c->asked[get_u64(p->in + 8)];
	if (a->into && get_u32(p->in + 4) == 0)
		need += a->length;
	if (p->in_len < need)
		return false;
	CHECK(!a->done);
	a->done = true;
	a->error = (int)get_u32(p->in + 4);
	if (need > REPLY_BYTES)
		memcpy(a->into, p->in + REPLY_BYTES, a->length);
	memmove(p->in, p->in + need, p->in_len - need);
	p->in_len -= need;
	return true;
}

void clients_turn(struct clients *c)
{
	loop_turns(&c->lane.reactor, 3);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct clients_peer *p = &c->peers[i];
		ssize_t n =
			recv(p->fd, p->in + p->in_len, CLIENTS_IN_BYTES - p->in_len, MSG_DONTWAIT);

		p->in_len += (size_t)MAX_OF(n, (ssize_t)0);
		while (take_reply(c, p))
			;
	}
}

unsigned clients_ask(struct clients *c, unsigned id, const struct nbd_request *nbd,
	const uint8_t *payload, uint8_t *into)
{
	struct nbd_request full = *nbd;
	uint8_t head[NBD_REQUEST_EXT_BYTES];
	unsigned cookie = c->count++;
	size_t n;

	CHECK(cookie < CLIENTS_ASKED);
	c->asked[cookie] = (struct clients_asked){.into = into, .length = (size_t)nbd->length};
	full.cookie = cookie;
	n = nbd_request_encode(head, false, &full);
	CHECK(send(c->peers[id].fd, head, n, MSG_NOSIGNAL) == (ssize_t)n);
	if (payload)
		CHECK(send(c->peers[id].fd, payload, nbd->length, MSG_NOSIGNAL) ==
			(ssize_t)nbd->length);
	clients_turn(c);
	return cookie;
}

bool clients_is_open(struct clients *c, unsigned cookie)
{
	clients_turn(c);
	return !c->asked[cookie].done;
}

int clients_wait(struct clients *c, unsigned cookie)
{
	for (int ms = 0; clients_is_open(c, cookie); ms++) {
		CHECK(ms < PATIENCE_MS);
		usleep(1000);
	}
	return c->asked[cookie].error;
}

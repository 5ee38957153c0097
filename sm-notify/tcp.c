/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conversations, each with its socket, its timer and at most one record of each direction. Whoever
 * stalls, sends fragments without end or announces gigabytes is left when a limit is reached.
 */
#include "tcp.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FDS_FOR_OTHERS = 256, LIMIT_MIN = 8 };

struct tcp_call {
	struct tcp_call *next, **self; /* *SELF points here */
	struct tcp *tcp;
	struct reactor_watch watch;
	struct reactor_timer timer;
	uint32_t unit, xid;
	struct plan_step step;
	uint8_t name;
	bool connected;
	struct rpc_record *reply; /* NULL until something arrives */
	size_t len, sent;
	uint8_t call[]; /* with its mark */
};

static void call_free(struct tcp_call *c)
{
	struct tcp *t = c->tcp;

	*c->self = c->next;
	if (c->next)
		c->next->self = c->self;
	t->count--;
	reactor_timer_cancel(t->reactor, &c->timer);
	if (c->watch.fn) {
		reactor_remove(t->reactor, &c->watch);
		close(c->watch.fd);
	}
	free(c->reply);
	free(c);
	if (t->turns.count > 0)
		reactor_defer(t->reactor, &t->pump);
}

static void end(struct tcp_call *c, enum plan_fault fault, const struct rpc_reply *reply)
{
	struct tcp_end e = {c->unit, c->step, c->name, fault, reply};
	struct tcp *t = c->tcp;
	struct rpc_record *kept = c->reply; /* the reply points into it */

	c->reply = NULL;
	call_free(c);
	t->handler.end(t->handler.arg, &e);
	free(kept);
}

static enum plan_fault fault_of(const struct tcp_call *c, int code)
{
	if (code == ECONNREFUSED)
		return PLAN_REFUSED;
	if (c->connected)
		return PLAN_CUT;
	return code == ETIMEDOUT ? PLAN_SILENT : PLAN_UNREACHABLE;
}

static void on_timeout(struct reactor_timer *timer)
{
	struct tcp_call *c = container_of(timer, struct tcp_call, timer);

	end(c, fault_of(c, ETIMEDOUT), NULL);
}

/* Receiving. */

static void parse(struct tcp_call *c)
{
	struct rpc_reply reply;

	if (rpc_parse_reply(c->reply->bytes, c->reply->len, &reply) < 0 || reply.xid != c->xid)
		end(c, PLAN_BAD_REPLY, NULL);
	else
		end(c, PLAN_SILENT, &reply);
}

static bool make_record(struct tcp_call *c)
{
	if (c->reply)
		return true;
	c->reply = malloc(sizeof(*c->reply));
	if (c->reply)
		rpc_record_init(c->reply);
	return c->reply;
}

/* True: C is still there. */
static bool take(struct tcp_call *c)
{
	uint8_t bytes[512];
	ssize_t n = recv(c->watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0 || !make_record(c)) {
		end(c, fault_of(c, n < 0 ? errno : EPIPE), NULL);
		return false;
	}
	r = rpc_record_feed(c->reply, bytes, (size_t)n);
	if (r == 0)
		return true;
	if (r < 0)
		end(c, PLAN_BAD_REPLY, NULL);
	else
		parse(c);
	return false;
}

/* Sending. */

static void give(struct tcp_call *c)
{
	ssize_t n = send(c->watch.fd, c->call + c->sent, c->len - c->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		end(c, fault_of(c, errno), NULL);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	reactor_change(c->tcp->reactor, &c->watch, c->sent < c->len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static bool is_connected(struct tcp_call *c)
{
	int code = 0;
	socklen_t len = sizeof(code);

	if (c->connected)
		return true;
	if (getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	if (code) {
		end(c, fault_of(c, code), NULL);
		return false;
	}
	c->connected = true;
	reactor_timer_set(c->tcp->reactor, &c->timer, TCP_TOTAL_MS - TCP_CONNECT_MS);
	return true;
}

static void on_event(struct reactor_watch *w, uint32_t events)
{
	struct tcp_call *c = container_of(w, struct tcp_call, watch);

	if (!is_connected(c))
		return;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !take(c))
		return;
	if (events & EPOLLOUT)
		give(c);
}

/* Beginning. */

static int connect_to(struct tcp *t, const struct tcp_order *o)
{
	bool v6 = !addr_is_v4(&o->to);
	union addr_sock to;
	socklen_t len = addr_to_sock(&o->to, o->port, &to);
	int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && t->self->count > 0) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		r = self_bind(t->self, fd, v6, 0);
	}
	if (r == 0 && connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

static struct tcp_call *call_new(struct tcp *t, uint32_t unit, const struct tcp_order *o)
{
	struct tcp_call *c = calloc(1, sizeof(*c) + RPC_MARK + o->len);

	if (!c)
		return NULL;
	c->tcp = t;
	c->unit = unit;
	c->xid = o->xid;
	c->step = o->step;
	c->name = o->name;
	c->timer.fn = on_timeout;
	c->len = RPC_MARK + o->len;
	rpc_put_mark(c->call, o->len);
	memcpy(c->call + RPC_MARK, o->call, o->len);
	c->next = t->calls;
	c->self = &t->calls;
	if (c->next)
		c->next->self = &c->next;
	t->calls = c;
	t->count++;
	return c;
}

static int watch_call(struct tcp_call *c, int fd)
{
	int r = reactor_add(c->tcp->reactor, &c->watch, fd, EPOLLIN | EPOLLOUT, on_event);

	if (r < 0)
		close(fd);
	else
		r = reactor_timer_set(c->tcp->reactor, &c->timer, TCP_CONNECT_MS);
	return r;
}

static void begin(struct tcp *t, uint32_t unit, const struct tcp_order *o)
{
	struct tcp_end failed = {unit, o->step, o->name, PLAN_SILENT, NULL};
	struct tcp_call *c = call_new(t, unit, o);
	int fd;

	if (!c) {
		t->handler.end(t->handler.arg, &failed);
		return;
	}
	t->total++;
	fd = connect_to(t, o);
	if (fd == -EMFILE || fd == -ENFILE) {
		t->limit = MAX_OF(t->count - 1, (uint32_t)LIMIT_MIN);
		end(c, PLAN_SILENT, NULL);
	} else if (fd < 0)
		end(c, fault_of(c, -fd), NULL);
	else if (watch_call(c, fd) < 0)
		end(c, PLAN_SILENT, NULL);
}

static void pump(struct reactor_task *task)
{
	struct tcp *t = container_of(task, struct tcp, pump);
	uint32_t unit;

	while (t->count < t->limit && turns_take(&t->turns, &unit)) {
		struct tcp_order order;

		if (!t->handler.begin(t->handler.arg, unit, &order))
			continue;
		turns_add(&t->turns, unit); /* it may have another one */
		begin(t, unit, &order);
	}
}

static uint32_t limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur < FDS_FOR_OTHERS + LIMIT_MIN)
		return LIMIT_MIN;
	return (uint32_t)MIN_OF(l.rlim_cur - FDS_FOR_OTHERS, (rlim_t)TCP_MAX);
}

int tcp_init(struct tcp *t, struct reactor *r, const struct self *self, uint32_t units,
	const struct tcp_handler *h)
{
	*t = (struct tcp){.reactor = r, .self = self, .handler = *h, .limit = limit()};
	t->pump.fn = pump;
	return turns_init(&t->turns, units);
}

void tcp_done(struct tcp *t)
{
	if (!t->reactor)
		return;
	t->turns.count = 0;
	while (t->calls)
		call_free(t->calls);
	reactor_undefer(t->reactor, &t->pump);
	turns_done(&t->turns);
	t->reactor = NULL;
}

void tcp_want(struct tcp *t, uint32_t unit)
{
	turns_add(&t->turns, unit);
	reactor_defer(t->reactor, &t->pump);
}

void tcp_forget(struct tcp *t, uint32_t unit)
{
	struct tcp_call *next;

	turns_remove(&t->turns, unit);
	for (struct tcp_call *c = t->calls; c; c = next) {
		next = c->next;
		if (c->unit == unit)
			call_free(c);
	}
}

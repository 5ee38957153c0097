/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to an origin. Every way into libnbd ends in settle() at the end of the turn, which
 * tells the owner what has come of it and watches what libnbd now waits for. A job leaves its place
 * (ask) in three ways: answered, answered with an error, or taken out by origin_link_close();
 * whatever fails because the connection is over stays for the third.
 */
#include "origin_link.h"

#include "clock.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <libnbd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void free_ask(struct origin_ask *a)
{
	struct origin_link *l = a->link;

	free(a->bounce);
	*a = (struct origin_ask){.link = l, .next = l->free};
	l->free = a;
}

static void forget_asks(struct origin_link *l)
{
	l->free = NULL;
	l->answers = NULL;
	l->answers_end = &l->answers;
	for (size_t i = ORIGIN_LINK_ASKS; i-- > 0;)
		free_ask(&l->asks[i]);
	l->in_flight = 0;
	l->bytes = 0;
}

static void __attribute__((format(printf, 2, 3))) end(struct origin_link *l, const char *fmt, ...)
{
	va_list ap;

	if (l->state == ORIGIN_LINK_CLOSED || l->state == ORIGIN_LINK_ENDED)
		return;
	va_start(ap, fmt);
	vsnprintf(l->reason, sizeof(l->reason), fmt, ap);
	va_end(ap);
	l->state = ORIGIN_LINK_ENDED;
	reactor_defer(l->reactor, &l->settle);
}

/* What libnbd said last, without the name of its function. */
static void end_with_error(struct origin_link *l)
{
	const char *text = nbd_get_error();
	const char *colon = text ? strstr(text, ": ") : NULL;

	if (colon && strncmp(text, "nbd_", 4) == 0)
		text = colon + 2;
	end(l, "%s", text ? text : "failed");
}

/* A failed attempt at the last address of a name leaves the handle as if new. */
static bool is_over(const struct origin_link *l)
{
	return l->state == ORIGIN_LINK_ENDED || nbd_aio_is_dead(l->nbd) ||
		nbd_aio_is_closed(l->nbd) || nbd_aio_is_created(l->nbd);
}

static void look_if_over(struct origin_link *l)
{
	if (nbd_aio_is_closed(l->nbd))
		end(l, "it closed the connection");
	else if (is_over(l))
		end_with_error(l);
}

static void notify(struct reactor_watch *w, uint32_t events)
{
	struct origin_link *l = container_of(w, struct origin_link, watch);
	unsigned direction = nbd_aio_get_direction(l->nbd);
	int ret = 0;

	reactor_defer(l->reactor, &l->settle);
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ)) {
		l->heard = l->reactor->now;
		ret = nbd_aio_notify_read(l->nbd);
	} else if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) &&
		(direction & LIBNBD_AIO_DIRECTION_WRITE)) {
		ret = nbd_aio_notify_write(l->nbd);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		end(l, "the connection broke");
	}
	if (ret < 0)
		end_with_error(l);
}

/* libnbd closes a socket that ended by itself. */
static void unwatch(struct origin_link *l)
{
	if (l->nbd && nbd_aio_get_fd(l->nbd) == l->watch.fd)
		reactor_remove(l->reactor, &l->watch);
	else
		reactor_forget(l->reactor, &l->watch);
}

/* While connecting libnbd goes from socket to socket, maybe with the same number. */
static int watch(struct origin_link *l)
{
	unsigned direction = nbd_aio_get_direction(l->nbd);
	int fd = nbd_aio_get_fd(l->nbd);
	uint32_t events = 0;

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		events |= EPOLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		events |= EPOLLOUT;
	if (l->watch.fn && l->watch.fd == fd && !nbd_aio_is_connecting(l->nbd))
		return reactor_change(l->reactor, &l->watch, events);
	unwatch(l);
	return reactor_add(l->reactor, &l->watch, fd, events, notify);
}

static bool has_shaken_hands(const struct origin_link *l)
{
	return nbd_aio_is_ready(l->nbd) || nbd_aio_is_processing(l->nbd);
}

static bool take_facts(struct origin_link *l)
{
	struct origin_facts *f = &l->facts;
	int64_t size = nbd_get_size(l->nbd);
	int64_t block = nbd_get_block_size(l->nbd, LIBNBD_SIZE_MINIMUM);
	int64_t most = nbd_get_block_size(l->nbd, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return false;
	*f = (struct origin_facts){.size = (uint64_t)size,
		.block = block > 0 ? (uint64_t)block : 1,
		.read_max = ORIGIN_JOB_MAX,
		.readonly = nbd_is_read_only(l->nbd) > 0,
		.multi = nbd_can_multi_conn(l->nbd) > 0,
		.status = nbd_can_meta_context(l->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0};
	if (most > 0)
		f->read_max = MIN_OF((uint64_t)most, f->read_max);
	f->read_max = MAX_OF(round_down(f->read_max, f->block), f->block);
	return true;
}

static void become_ready(struct origin_link *l)
{
	if (!take_facts(l)) {
		end_with_error(l);
		return;
	}
	reactor_timer_cancel(l->reactor, &l->deadline);
	sock_prepare(nbd_aio_get_fd(l->nbd)); /* keepalive: a dead peer is found also while idle */
	l->state = ORIGIN_LINK_READY;
	l->since = l->reactor->now;
}

static void arm(struct origin_link *l)
{
	if (l->timeout_ms && l->in_flight > 0 && !l->deadline.slot)
		reactor_timer_set(l->reactor, &l->deadline, l->timeout_ms);
}

static void finish(struct origin_ask *a, int result)
{
	struct origin_link *l = a->link;
	struct origin_job *job = a->job;

	l->in_flight--;
	if (job->kind == ORIGIN_READ)
		l->bytes -= job->length;
	free_ask(a);
	l->ops->answered(l, job, result);
}

/* An origin that is shutting down says so to every request: that is no answer. */
static void tell(struct origin_ask *a)
{
	struct origin_link *l = a->link;
	int ret;

	if (a->error == ESHUTDOWN)
		end(l, "it is shutting down");
	if (a->error && is_over(l))
		return;
	ret = a->error ? -a->error : origin_ask_accept(a);
	if (ret != 0)
		finish(a, MIN_OF(ret, 0));
	else if (!is_over(l))
		origin_ask_issue(a);
}

static void tell_answers(struct origin_link *l)
{
	struct origin_ask *a;

	while ((a = l->answers)) {
		l->answers = a->next;
		if (!l->answers)
			l->answers_end = &l->answers;
		a->answered = false;
		tell(a);
	}
}

/* The owner is called last: it may close the link. */
static void settle(struct reactor_task *t)
{
	struct origin_link *l = container_of(t, struct origin_link, settle);
	bool was_connecting = l->state == ORIGIN_LINK_CONNECTING;

	if (l->nbd)
		tell_answers(l);
	if (l->state != ORIGIN_LINK_ENDED)
		look_if_over(l);
	if (was_connecting && l->state == ORIGIN_LINK_CONNECTING && has_shaken_hands(l))
		become_ready(l);
	if (l->state != ORIGIN_LINK_ENDED && watch(l) < 0)
		end(l, "no way to watch its socket");
	reactor_undefer(l->reactor, &l->settle);
	if (l->state == ORIGIN_LINK_ENDED) {
		unwatch(l);
		reactor_timer_cancel(l->reactor, &l->deadline);
		l->ops->ended(l);
	} else if (was_connecting && l->state == ORIGIN_LINK_READY) {
		l->ops->ready(l);
	}
}

/* When the first request in flight becomes hung if nothing comes; UINT64_MAX without any. */
static uint64_t hung_at(const struct origin_link *l)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < ORIGIN_LINK_ASKS; i++) {
		if (l->asks[i].job)
			oldest = MIN_OF(oldest, l->asks[i].sent);
	}
	if (oldest == UINT64_MAX)
		return UINT64_MAX;
	return MIN_OF(MAX_OF(oldest, l->heard) + l->timeout_ms,
		oldest + (uint64_t)ORIGIN_LINK_PATIENCE * l->timeout_ms);
}

static void look_if_hung(struct reactor_timer *t)
{
	struct origin_link *l = container_of(t, struct origin_link, deadline);
	uint64_t now = l->reactor->now, at = hung_at(l);

	if (l->state == ORIGIN_LINK_CONNECTING)
		end(l, "no connection in %u ms", l->timeout_ms);
	else if (at <= now)
		end(l, "no answer in %u ms", l->timeout_ms);
	else if (at != UINT64_MAX && reactor_timer_set(l->reactor, t, at - now) < 0)
		end(l, "out of memory");
}

void origin_link_init(struct origin_link *l, struct reactor *r, const struct origin_link_ops *ops)
{
	*l = (struct origin_link){.reactor = r, .ops = ops};
	l->settle.fn = settle;
	l->deadline.fn = look_if_hung;
	for (size_t i = 0; i < ORIGIN_LINK_ASKS; i++)
		l->asks[i].link = l;
	forget_asks(l);
}

/* Ranges are aligned by us (the tail of an origin that does not end with a block is none). */
static int prepare(struct nbd_handle *h)
{
	uint32_t strict = nbd_get_strict_mode(h) & ~LIBNBD_STRICT_ALIGN;

	if (nbd_set_request_structured_replies(h, true) < 0 ||
		nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
		nbd_set_pread_initialize(h, false) < 0)
		return -1;
	return nbd_set_strict_mode(h, strict);
}

/* Looking up a name takes its time, and the clock of the turn stands still. */
static void set_deadline(struct origin_link *l)
{
	uint64_t spent = clock_ms() - l->reactor->now;

	if (l->timeout_ms)
		reactor_timer_set(l->reactor, &l->deadline, spent + l->timeout_ms);
}

void origin_link_open(struct origin_link *l, const char *uri, unsigned timeout_ms)
{
	l->state = ORIGIN_LINK_CONNECTING;
	l->timeout_ms = timeout_ms;
	l->reason[0] = 0;
	l->facts.size = 0;
	l->since = l->reactor->now;
	l->nbd = nbd_create();
	if (!l->nbd || prepare(l->nbd) < 0 || nbd_aio_connect_uri(l->nbd, uri) < 0)
		end_with_error(l);
	set_deadline(l);
	reactor_defer(l->reactor, &l->settle);
}

bool origin_link_has_room(const struct origin_link *l, const struct origin_job *job)
{
	unsigned quarters = job->urgent ? 4 : 3;
	unsigned asks = ORIGIN_LINK_ASKS / 4 * quarters;
	uint64_t bytes = ORIGIN_LINK_BYTES / 4 * quarters;

	return l->state == ORIGIN_LINK_READY && l->in_flight < asks &&
		(job->kind != ORIGIN_READ || l->bytes + job->length <= bytes);
}

void origin_link_send(struct origin_link *l, struct origin_job *job)
{
	struct origin_ask *a = l->free;

	l->free = a->next;
	*a = (struct origin_ask){.link = l, .job = job};
	l->in_flight++;
	if (job->kind == ORIGIN_READ)
		l->bytes += job->length;
	origin_ask_issue(a);
	look_if_over(l);
	arm(l);
	reactor_defer(l->reactor, &l->settle);
}

void origin_link_note(struct origin_ask *a, int error)
{
	struct origin_link *l = a->link;

	if (a->answered)
		return;
	a->answered = true;
	a->error = error;
	a->next = NULL;
	*l->answers_end = a;
	l->answers_end = &a->next;
	reactor_defer(l->reactor, &l->settle);
}

/* Politely, if that can be done without waiting. */
static void close_handle(struct origin_link *l)
{
	if (l->state == ORIGIN_LINK_READY)
		nbd_aio_disconnect(l->nbd, 0);
	nbd_close(l->nbd);
	l->nbd = NULL;
}

struct origin_job *origin_link_close(struct origin_link *l)
{
	struct origin_job *jobs = NULL;

	unwatch(l);
	reactor_timer_cancel(l->reactor, &l->deadline);
	close_handle(l);
	reactor_undefer(l->reactor, &l->settle);
	for (size_t i = ORIGIN_LINK_ASKS; i-- > 0;) {
		if (l->asks[i].job) {
			l->asks[i].job->next = jobs;
			jobs = l->asks[i].job;
		}
	}
	forget_asks(l);
	l->state = ORIGIN_LINK_CLOSED;
	return jobs;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parent's side of a shot by proxy: forks who talks to the proxy (proxy_talk.c), takes what it
 * reports, kills it when it is late, and judges the answer. Called by shoot().
 */
#include "proxy_client.h"

#include "clock.h"
#include "log.h"
#include "proxy_talk.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct job {
	struct reactor *reactor;
	struct reactor_watch watch;
	struct reactor_timer timer;
	const char *name; /* of the proxy */
	pid_t pid;
	bool over, late;
	char phase[PROXY_TALK_TEXT_MAX]; /* what it was at when it was last heard of */
	bool has_result;
	struct proxy_talk_result result;
	struct proxy_talk_message m; /* the one being received */
};

static bool is_over(void *arg)
{
	return ((struct job *)arg)->over;
}

static void on_message(struct job *j, const struct proxy_talk_message *m)
{
	switch (m->kind) {
	case PROXY_TALK_PHASE:
		snprintf(j->phase, sizeof(j->phase), "%s", m->text);
		break;
	case PROXY_TALK_NOTE:
		log_info("proxy %s: %s", j->name, m->text);
		break;
	case PROXY_TALK_RESULT:
		j->result = m->result;
		j->has_result = true;
		j->over = true;
		break;
	}
}

static void on_readable(struct reactor_watch *w, uint32_t events)
{
	struct job *j = container_of(w, struct job, watch);

	(void)events;
	while (!j->over) {
		ssize_t n = recv(w->fd, &j->m, sizeof(j->m), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == (ssize_t)sizeof(j->m))
			on_message(j, &j->m);
		else
			j->over = true;
	}
}

static void on_late(struct reactor_timer *t)
{
	struct job *j = container_of(t, struct job, timer);

	j->late = true;
	j->over = true;
}

static pid_t start(const struct shoot_order *o, uint64_t until, int fds[2])
{
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		proxy_talk_child(o, until, fds[1]);
	if (pid < 0) {
		pid = -errno;
		close(fds[0]);
	}
	close(fds[1]);
	return pid;
}

/* It has nothing to lose: what was asked for goes on at the proxy. */
static void end(struct job *j)
{
	if (j->pid <= 0)
		return;
	kill(j->pid, SIGKILL);
	while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Until there is a result, the child is gone, or it is late. */
static int watch(struct job *j, int fd, uint64_t until)
{
	int r;

	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = reactor_add(j->reactor, &j->watch, fd, EPOLLIN, on_readable);
	if (r < 0)
		return r;
	j->timer.fn = on_late;
	/* The reactor's time may be old: a timer counts from then. */
	r = reactor_timer_set(j->reactor, &j->timer, until - MIN_OF(j->reactor->now, until));
	if (r == 0)
		r = reactor_run_until(j->reactor, is_over, j);
	reactor_timer_cancel(j->reactor, &j->timer);
	reactor_remove(j->reactor, &j->watch);
	return r;
}

static int run(struct job *j, const struct shoot_order *o, uint64_t until, struct err *err)
{
	int fds[2], r;

	j->pid = start(o, until, fds);
	if (j->pid < 0)
		return err_sys(err, -j->pid, "process for the proxy");
	r = watch(j, fds[0], until);
	end(j);
	close(fds[0]);
	return r < 0 ? err_sys(err, -r, "event loop") : 0;
}

/* What came of it. */

static void fill(const struct proxy_wire_answer *a, struct shoot_result *ret)
{
	struct fence *f = &ret->fence;

	f->goal = a->goal;
	f->turning_on = a->turning_on;
	f->outlet_count = a->outlet_count;
	f->on_failed = a->on_failed;
	ret->confirmed = a->confirmed;
	for (size_t i = 0; i < a->outlet_count; i++) {
		const struct proxy_wire_outlet *from = &a->outlets[i];

		f->outlets[i] = (struct fence_outlet){.before = from->before,
			.last = from->last,
			.before_value = from->before_value,
			.last_value = from->last_value,
			.fault = from->fault,
			.set = from->set};
		snprintf(ret->names[i], sizeof(ret->names[i]), "%s", from->name);
	}
}

static int judge(const struct shoot_order *o, const struct proxy_wire_answer *a, struct err *err)
{
	const char *text = a->text;

	if (!proxy_wire_makes_sense(o->goal, a))
		return err_set(err, EBADMSG, "says that it is done, but not all outlets read so");
	switch (a->code) {
	case PROXY_WIRE_DONE:
		return 0;
	case PROXY_WIRE_REFUSED:
		return err_set(err, EPERM, "refused: %.380s", text);
	case PROXY_WIRE_FAILED:
		break;
	}
	return err_set(err, EIO, "%.380s", text);
}

static int conclude(
	const struct job *j, const struct shoot_order *o, struct shoot_result *ret, struct err *err)
{
	const struct proxy_talk_result *res = &j->result;

	if (j->late)
		return err_set(err, ETIMEDOUT, "no answer in time (%s)", j->phase);
	if (!j->has_result)
		return err_set(err, EPIPE, "our own process ended early (%s)", j->phase);
	if (res->code < 0)
		return err_set(err, -res->code, "%s", res->text);
	fill(&res->answer, ret);
	return judge(o, &res->answer, err);
}

int proxy_client_run(const struct shoot_order *o, uint64_t ms, struct reactor *r,
	struct shoot_result *ret, struct err *err)
{
	const struct config_proxy *p = o->victim->proxy;
	struct job j = {.reactor = r, .name = p->name, .phase = "starting"};
	uint64_t begin = clock_ms();
	struct err why = {0};
	int result;

	ret->fence = (struct fence){.goal = o->goal};
	result = run(&j, o, begin + ms, &why);
	if (result == 0)
		result = conclude(&j, o, ret, &why);
	ret->ms = clock_ms() - begin;
	ret->fence.verdict = result == 0 ? FENCE_SUCCESS : FENCE_FAILURE;
	if (result == 0)
		snprintf(ret->text, sizeof(ret->text), "by proxy %.64s: %.380s", p->name,
			j.result.answer.text);
	else
		result = err_set(
			err, -result, "proxy %.64s (%.64s): %.370s", p->name, p->address, why.text);
	if (result < 0)
		snprintf(ret->text, sizeof(ret->text), "%s", err->text);
	return result;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child of a shot by proxy: opens the channel, says the request, takes the answer, reports. It
 * has the secrets of one proxy, nothing to clean up, and may be killed at any moment.
 */
#include "proxy_talk.h"

#include "clock.h"
#include "ssh.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum { MARGIN = 200 /* ms that we end before we are killed, to say why */, SKEW = 30 /* s */ };

struct talk {
	const struct shoot_order *order;
	int fd; /* to the parent */
	struct ssh_target target;
	struct ssh ssh;
	struct proxy_wire wire;
	struct proxy_wire_lines lines;
	bool asked, over;
	const char *phase;
	struct proxy_talk_message m;
};

static void tell(struct talk *t, enum proxy_talk_kind kind)
{
	t->m.kind = kind;
	while (send(t->fd, &t->m, sizeof(t->m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void tell_text(struct talk *t, enum proxy_talk_kind kind, const char *text)
{
	str_printable(t->m.text, sizeof(t->m.text), text, strlen(text));
	tell(t, kind);
}

static void on_phase(void *arg, const char *text)
{
	struct talk *t = arg;

	t->phase = text;
	tell_text(t, PROXY_TALK_PHASE, text);
}

static uint64_t wall_s(void)
{
	return (uint64_t)time(NULL);
}

/* The request answers the challenge, and is the last thing we say. */
static int ask(struct talk *t, uint64_t their_time, struct err *err)
{
	char out[2 * (PROXY_WIRE_LINE_MAX + 1) + 1], text[80];
	uint64_t now = clock_ms(), time = wall_s();
	const struct shoot_order *o = t->order;
	struct proxy_wire_request q = {.goal = o->goal, .time = time};
	size_t len;
	int r;

	if (now >= t->ssh.until || getrandom(q.id, sizeof(q.id), 0) != (ssize_t)sizeof(q.id))
		return err_set(err, ETIMEDOUT, "no time left to ask");
	if (their_time + SKEW < time || time + SKEW < their_time) {
		snprintf(text, sizeof(text), "its clock differs from ours by %lld s",
			(long long)(their_time - time));
		tell_text(t, PROXY_TALK_NOTE, text);
	}
	q.within = MIN_OF(t->ssh.until - now, (uint64_t)PROXY_WIRE_WITHIN_MAX);
	snprintf(q.victim, sizeof(q.victim), "%s", o->victim->name);
	snprintf(q.why, sizeof(q.why), "%s", o->reason ? o->reason : "");
	len = proxy_wire_request(&t->wire, &q, out);
	if (len == 0)
		return err_set(err, EINVAL, "the victim's name is none that can be sent");
	r = ssh_write(&t->ssh, out, len);
	if (r < 0)
		return err_sys(err, -r, "the request could not be sent");
	t->asked = true;
	on_phase(t, "waiting for its verdict; what it did is not known");
	return 0;
}

static int not_understood(int code, const char *line, struct err *err)
{
	char text[120];

	switch (code) {
	case -EACCES:
		return err_set(err, EACCES,
			"its answer is not authentic: the secrets differ, or somebody is between");
	case -EPROTO:
		return err_set(err, EPROTO, "it speaks another version of the protocol");
	case -ENOMEM:
		return err_set(err, ENOMEM, "no memory");
	default:
		str_printable(text, sizeof(text), line, strlen(line));
		return err_set(err, EBADMSG, "not understood: \"%s\"", text);
	}
}

/* A line of its. */
static int on_line(struct talk *t, const char *line, struct err *err)
{
	const char *text = "";
	uint64_t time = 0;
	int r = proxy_wire_take(&t->wire, line, &t->m.result.answer, &text, &time);

	if (r < 0)
		return not_understood(r, line, err);
	switch ((enum proxy_wire_event)r) {
	case PROXY_WIRE_HELLO:
		return ask(t, time, err);
	case PROXY_WIRE_NOTE:
		tell_text(t, PROXY_TALK_NOTE, text);
		return 0;
	case PROXY_WIRE_ANSWERED:
		t->over = true;
		return 0;
	case PROXY_WIRE_NO:
		return err_set(err, EPERM, "refused: %.380s", text);
	case PROXY_WIRE_MORE:
		break;
	}
	return 0;
}

static int on_bytes(struct talk *t, const char *bytes, size_t len, struct err *err)
{
	while (!t->over) {
		int r = proxy_wire_feed(&t->lines, &bytes, &len);

		if (r == 0)
			return 0;
		if (r < 0)
			return err_set(err, EBADMSG, "not understood: no lines of text");
		r = on_line(t, t->lines.line, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_end(struct talk *t, struct err *err)
{
	char text[200];

	ssh_complaint(&t->ssh, text, sizeof(text));
	return err_set(err, EPIPE, "it ended without an answer%s%s%s",
		t->asked ? "; what it did is not known" : "", *text ? ": " : "", text);
}

static int converse(struct talk *t, struct err *err)
{
	char bytes[4096];

	while (!t->over) {
		ssize_t n = ssh_read(&t->ssh, bytes, sizeof(bytes));
		int r;

		if (n == -ETIMEDOUT)
			return err_set(err, ETIMEDOUT, "no answer in time (%s)", t->phase);
		if (n < 0)
			return err_sys(err, (int)-n, "connection lost (%s)", t->phase);
		r = n == 0 ? on_end(t, err) : on_bytes(t, bytes, (size_t)n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int talk(struct talk *t, uint64_t until, struct err *err)
{
	int r;

	if (proxy_wire_init(&t->wire, t->order->victim->proxy->secret) < 0)
		return err_set(
			err, EINVAL, "its secret is shorter than %d bytes", PROXY_WIRE_SECRET_MIN);
	r = ssh_open(&t->ssh, until, err);
	if (r == 0) {
		on_phase(t, "waiting for its challenge");
		r = converse(t, err);
	}
	ssh_close(&t->ssh);
	return r;
}

/* Nothing of our parent's is ours, but what we need; and we do not outlive it. */
static void settle(int fd)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) /* locks are not inherited */
		errno = 0;
	prctl(PR_SET_DUMPABLE, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, UINT_MAX, 0);
}

static struct ssh_target target_of(const struct config_proxy *p)
{
	return (struct ssh_target){
		.address = p->address,
		.port = p->port,
		.source = p->source,
		.user = p->user,
		.key = p->key,
		.key_file = p->key_file,
		.host_key = p->host_key_bytes,
		.host_key_len = p->host_key_len,
		.command = "xnbd-stonith --proxy", /* what is forced on our key is not this text */
	};
}

_Noreturn void proxy_talk_child(const struct shoot_order *o, uint64_t until, int fd)
{
	static struct talk t;
	struct err err = {0};
	uint64_t now = clock_ms();

	settle(fd);
	t.order = o;
	t.fd = fd;
	t.target = target_of(o->victim->proxy);
	t.ssh.target = &t.target;
	t.ssh.phase = on_phase;
	t.ssh.arg = &t;
	t.m.result.code = talk(&t, until > now + MARGIN ? until - MARGIN : now, &err);
	snprintf(t.m.result.text, sizeof(t.m.result.text), "%s", err.text);
	tell(&t, PROXY_TALK_RESULT);
	_exit(0);
}

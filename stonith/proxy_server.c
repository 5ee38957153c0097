/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proxy's side: challenge, request, checks, shot, answer. Who speaks here has logged in with a
 * caller's key, but nothing it says counts before its MAC was right. Every end of the conversation
 * goes through refuse() or through shoot(), and both leave a line in the audit log.
 */
#include "proxy_server.h"

#include "audit.h"
#include "clock.h"
#include "confirm.h"
#include "lease.h"
#include "log.h"
#include "policy.h"
#include "proxy_rate.h"
#include "proxy_wire.h"
#include "shoot.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { WRITE_WAIT = 2000 /* ms */, SKEW = 30 /* s */, WHO_MAX = LEASE_ACTOR_MAX };

struct talk {
	struct proxy_server *server;
	struct proxy_wire wire;
	struct proxy_wire_request request;
	bool proven;         /* the request is the caller's */
	uint64_t counted_at; /* of proxy_rate_take(); 0 = not counted */
	uint64_t asked_at;   /* ms: when the request was there */
	char who[WHO_MAX];
};

static int send_all(int fd, const char *bytes, size_t len)
{
	uint64_t until = clock_ms() + WRITE_WAIT;

	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		uint64_t now = clock_ms();
		ssize_t n;

		if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
			return -ETIMEDOUT;
		n = write(fd, bytes, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Refusals. */

static int path_of(const struct proxy_server *s, const char *what, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/proxy.%s.%s", s->config->general.run_directory,
		s->caller->name, what);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* A count that cannot be kept must not keep anybody alive: that is said, and nothing is counted. */
static bool count(struct talk *t, const char *what, uint64_t window, size_t limit)
{
	char path[PATH_MAX];
	struct err err;
	int r;

	t->counted_at = 0;
	if (path_of(t->server, what, path) < 0)
		return true;
	r = proxy_rate_take(path, window, limit, &t->counted_at, &err);
	if (r < 0)
		log_warn("proxy: not counted: %s", err.text);
	return r != 0;
}

/* Who has to try again, because a PDU is dead, must not be kept from it by the rate. */
static void uncount(struct talk *t)
{
	char path[PATH_MAX];
	struct err err;

	if (t->counted_at && path_of(t->server, "shots", path) == 0 &&
		proxy_rate_give_back(path, t->counted_at, &err) < 0)
		log_warn("proxy: counted though it came to nothing: %s", err.text);
}

static json_t *describe(const struct talk *t, const char *why)
{
	const struct proxy_server *s = t->server;
	const struct proxy_wire_request *q = &t->request;
	json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:s}", "event", "proxy-refused", "who", t->who,
		"caller", s->caller->name, "proven", t->proven, "why", why);

	if (j && *q->victim) {
		json_object_set_new(j, "victim", json_string(q->victim));
		json_object_set_new(j, "action", json_string(proxy_wire_goal_name(q->goal)));
		json_object_set_new(j, "reason", json_string(q->why));
	}
	return j;
}

static void record(const struct talk *t, const char *why)
{
	struct audit *audit = audit_new(t->server->config->general.audit_log);
	json_t *j = describe(t, why);
	struct err err = {.text = "no memory"};

	if (!audit || !j || audit_append(audit, j, NULL, &err) < 0)
		log_error("proxy: no line in the audit log: %s", err.text);
	json_decref(j);
	audit_free(audit);
}

__attribute__((format(printf, 2, 3))) static int refuse(struct talk *t, const char *fmt, ...)
{
	char why[PROXY_WIRE_TEXT_MAX], out[PROXY_WIRE_ANSWER_MAX + 1];
	struct proxy_wire_answer a = {.code = PROXY_WIRE_REFUSED, .goal = t->request.goal};
	size_t len;
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_warn("%s: refused: %s", t->who, why);
	if (count(t, "refused", PROXY_SERVER_ASKS, PROXY_SERVER_REFUSALS_MAX))
		record(t, why);
	snprintf(a.text, sizeof(a.text), "%s", why);
	len = t->proven ? proxy_wire_answer(&t->wire, &a, out) : proxy_wire_refusal(why, out);
	send_all(t->server->out, out, len);
	return -EPERM;
}

/* The request. */

static int greet(struct talk *t)
{
	char out[PROXY_WIRE_LINE_MAX + 2];
	uint8_t challenge[PROXY_WIRE_HASH];

	if (getrandom(challenge, sizeof(challenge), 0) != (ssize_t)sizeof(challenge))
		return refuse(t, "no random numbers");
	return send_all(t->server->out, out,
		proxy_wire_hello(&t->wire, challenge, (uint64_t)time(NULL), out));
}

static int on_line(struct talk *t, const char *line)
{
	char text[80];
	int r = proxy_wire_take_request(&t->wire, line, &t->request);

	switch (r) {
	case 0:
	case 1:
		return r;
	case -EACCES:
		return refuse(
			t, "its MAC is wrong: another secret, or an answer to another challenge");
	case -ENOMEM:
		return refuse(t, "no memory");
	default:
		str_printable(text, sizeof(text), line, strlen(line));
		return refuse(t, "not understood: \"%s\"", text);
	}
}

/* 1: the request is whole. */
static int on_bytes(struct talk *t, struct proxy_wire_lines *lines, const char *bytes, size_t len)
{
	int r;

	while ((r = proxy_wire_feed(lines, &bytes, &len)) == 1) {
		r = on_line(t, lines->line);
		if (r == 1 && len > 0)
			return refuse(t, "more than a request was sent");
		if (r != 0)
			return r;
	}
	if (r == -EMSGSIZE)
		return refuse(t, "a line of more than %d bytes", PROXY_WIRE_LINE_MAX);
	return r < 0 ? refuse(t, "not understood: bytes that are no text") : 0;
}

static int receive(struct talk *t)
{
	uint64_t until = clock_ms() + PROXY_SERVER_WAIT;
	struct proxy_wire_lines lines = {0};
	int r = 0;

	while (r == 0) {
		struct pollfd p = {.fd = t->server->in, .events = POLLIN};
		uint64_t now = clock_ms();
		char bytes[1024];
		ssize_t n;

		if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
			return refuse(t, "no request within %d s", PROXY_SERVER_WAIT / 1000);
		n = read(t->server->in, bytes, sizeof(bytes));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return refuse(t, "gone without a request");
		r = on_bytes(t, &lines, bytes, (size_t)n);
	}
	return r;
}

/* The shot. */

static const enum policy_action actions[] = {
	[FENCE_OFF] = POLICY_OFF,
	[FENCE_ON] = POLICY_ON,
	[FENCE_CYCLE] = POLICY_REBOOT,
	[FENCE_READ] = POLICY_STATUS,
	[FENCE_TEST] = POLICY_TEST,
};

static int decide(struct talk *t, const struct config_node *victim, enum fence_goal *ret)
{
	const struct proxy_server *s = t->server;
	struct policy_request q = {
		.action = actions[t->request.goal],
		.by = POLICY_BY_CALLER,
		.victim = victim,
		.self = config_self(s->config),
		.caller = s->caller,
		.confirmed = confirm_get(
			s->config->general.run_directory, victim->name, CONFIRM_ON, NULL),
	};
	struct err err;

	if (policy_decide(&q, ret, &err) < 0)
		return refuse(t, "%s", err.text);
	return 0;
}

static bool is_shot(enum fence_goal goal)
{
	return goal != FENCE_READ && goal != FENCE_TEST;
}

static int check_rate(struct talk *t)
{
	size_t rate = (size_t)t->server->caller->rate;

	if (!is_shot(t->request.goal)) {
		if (!count(t, "asks", PROXY_SERVER_ASKS, PROXY_SERVER_ASKS_MAX))
			return refuse(t, "too often: more than %d questions in %d s",
				PROXY_SERVER_ASKS_MAX, PROXY_SERVER_ASKS / 1000);
	} else if (!count(t, "shots", PROXY_SERVER_SHOTS, rate)) {
		return refuse(t, "too often: more than %zu shots in %d minutes", rate,
			PROXY_SERVER_SHOTS / 60000);
	}
	return 0;
}

static void fill(const struct shoot_result *res, int code, struct proxy_wire_answer *a)
{
	a->code = code == 0 ? PROXY_WIRE_DONE : PROXY_WIRE_FAILED;
	a->goal = res->fence.goal;
	a->ms = res->ms;
	a->turning_on = res->fence.turning_on;
	a->on_failed = res->fence.on_failed;
	a->confirmed = res->confirmed;
	a->outlet_count = res->fence.outlet_count;
	for (size_t i = 0; i < a->outlet_count; i++) {
		const struct fence_outlet *from = &res->fence.outlets[i];
		struct proxy_wire_outlet *to = &a->outlets[i];

		to->before = from->before;
		to->before_value = from->before_value;
		to->last = from->last;
		to->last_value = from->last_value;
		to->fault = from->fault ? from->fault : res->fence.lanes[from->lane].fault;
		to->set = from->set;
		snprintf(to->name, sizeof(to->name), "%s", res->names[i]);
	}
	snprintf(a->text, sizeof(a->text), "%.*s", PROXY_WIRE_TEXT_MAX - 1, res->text);
}

static void answer(struct talk *t, const struct shoot_result *res, int code)
{
	char out[PROXY_WIRE_ANSWER_MAX + 1];
	struct proxy_wire_answer a;

	fill(res, code, &a);
	if (send_all(t->server->out, out, proxy_wire_answer(&t->wire, &a, out)) < 0)
		log_warn("%s: gone before the answer: %s", t->who, a.text);
}

static void note(struct talk *t, const char *text)
{
	char out[PROXY_WIRE_LINE_MAX + 2];

	send_all(t->server->out, out, proxy_wire_note(&t->wire, text, out));
}

/* For people only: clocks of hosts differ, and what is fresh the challenge says. */
static void look_at_clock(struct talk *t)
{
	uint64_t now = (uint64_t)time(NULL), theirs = t->request.time;
	char text[120];

	if (theirs <= now + SKEW && now <= theirs + SKEW)
		return;
	snprintf(text, sizeof(text), "the clocks of caller and proxy differ by %lld s",
		(long long)(theirs - now));
	log_warn("%s: %s", t->who, text);
	note(t, text);
}

static int perform(struct talk *t, const struct config_node *victim, enum fence_goal goal)
{
	const struct proxy_wire_request *q = &t->request;
	uint64_t gone = clock_ms() - t->asked_at + PROXY_SERVER_MARGIN;
	char reason[PROXY_WIRE_WHY_MAX + 40];
	struct shoot_result res = {0};
	struct shoot_order o = {.config = t->server->config,
		.victim = victim,
		.goal = goal,
		.who = t->who,
		.reason = reason,
		.by_hand = true, /* delay and tie-break were the caller's */
		.within = q->within > gone ? q->within - gone : 1};
	struct err err = {0};
	int r;

	snprintf(reason, sizeof(reason), "%s%s[request %02x%02x%02x%02x%02x%02x%02x%02x]", q->why,
		*q->why ? " " : "", q->id[0], q->id[1], q->id[2], q->id[3], q->id[4], q->id[5],
		q->id[6], q->id[7]);
	log_info("%s: %s of %s", t->who, proxy_wire_goal_name(goal), victim->name);
	r = shoot(&o, t->server->reactor, &res, &err);
	if (!*res.text)
		snprintf(res.text, sizeof(res.text), "%s", err.text);
	log_info("%s: %s of %s: %s", t->who, proxy_wire_goal_name(goal), victim->name, res.text);
	if (r < 0 && is_shot(goal))
		uncount(t);
	answer(t, &res, r);
	return r;
}

static int serve(struct talk *t)
{
	const struct proxy_wire_request *q = &t->request;
	const struct config_node *victim = config_node(t->server->config, q->victim);
	enum fence_goal goal;
	int r;

	if (!victim)
		return refuse(t, "no node is called %s", q->victim);
	if (victim->proxy)
		return refuse(t, "%s: its PDUs are not reached from here", victim->name);
	if (q->within < PROXY_SERVER_LEAST)
		return refuse(t, "too little time: %d ms are needed", PROXY_SERVER_LEAST);
	r = decide(t, victim, &goal);
	if (r == 0)
		r = check_rate(t);
	if (r < 0)
		return r;
	look_at_clock(t);
	return perform(t, victim, goal);
}

int proxy_server_run(struct proxy_server *s)
{
	struct talk t = {.server = s};
	const char *print = strchr(s->origin.key, ' ');
	int r;

	snprintf(t.who, sizeof(t.who), "proxy: %.20s from %.40s%.51s", s->caller->name,
		s->origin.address, print ? print : "");
	if (proxy_wire_init(&t.wire, s->caller->secret) < 0)
		return refuse(&t, "the secret of the caller is too short");
	r = greet(&t);
	if (r == 0)
		r = receive(&t);
	if (r < 0)
		return r;
	t.asked_at = clock_ms();
	t.proven = true;
	return serve(&t);
}

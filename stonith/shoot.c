/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of things in a shot: helpers are started first, as they need a moment; delay and
 * tie-break; the victim's lock, and that it is wanted off; a line in the log; the plan; the outcome
 * in the log; and only then the answer. What is wrong with locks or log never stops a shot, it is
 * said.
 */
#include "shoot.h"

#include "clock.h"
#include "confirm.h"
#include "drive.h"
#include "lease.h"
#include "ping.h"
#include "proxy_client.h"
#include "record.h"
#include "scribe.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SHOT_MAX = 48,
	NOTES_MAX = 200,
	BEGIN_LINE_MS = 1000, /* before the first command */
	END_LINE_MS = 3000,   /* before the answer */
};

struct shot {
	const struct shoot_order *order;
	const struct config_general *general;
	const struct config_node *victim;
	struct reactor *reactor;
	struct shoot_result *result;
	struct drive *drive;        /* NULL: by a proxy */
	struct scribe *scribe;      /* NULL: no lines are written */
	uint64_t started, deadline; /* ms */
	char id[SHOT_MAX];
	char notes[NOTES_MAX]; /* what else people should know */
	int lock;
	bool refused;
};

const char *shoot_goal_text(enum fence_goal goal)
{
	static const char *const texts[] = {[FENCE_OFF] = "off",
		[FENCE_ON] = "on",
		[FENCE_CYCLE] = "reboot",
		[FENCE_READ] = "status",
		[FENCE_TEST] = "test"};

	return texts[goal];
}

static bool turns_off(enum fence_goal goal)
{
	return goal == FENCE_OFF || goal == FENCE_CYCLE;
}

static uint64_t time_left(const struct shot *s)
{
	uint64_t now = clock_ms();

	return now < s->deadline ? s->deadline - now : 0;
}

static void note(struct shot *s, const char *what, const char *why)
{
	size_t len = strlen(s->notes);

	snprintf(s->notes + len, sizeof(s->notes) - len, "; %s: %.120s", what, why);
}

static int refuse(struct shot *s, struct err *err)
{
	s->refused = true;
	snprintf(s->result->text, sizeof(s->result->text), "%s", err->text);
	return -err->code;
}

/*
 * The shot must not wait for memory, nor be chosen when it runs out, as far as we may. What is
 * there is locked, not what is to come: where a limit is near, that would make it fail.
 */
static void hold_on_to_memory(void)
{
	CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "-1000", 5) < 0)
		errno = 0;
	if (mlockall(MCL_CURRENT) < 0)
		errno = 0;
}

static bool is_past(void *arg)
{
	return *(bool *)arg;
}

struct pause {
	struct reactor_timer timer;
	bool over;
};

static void pause_over(struct reactor_timer *t)
{
	container_of(t, struct pause, timer)->over = true;
}

static void wait_delay(struct shot *s)
{
	struct pause p = {.timer.fn = pause_over};
	uint64_t ms = MIN_OF(s->victim->delay, time_left(s));

	s->reactor->now = clock_ms();
	if (ms == 0 || reactor_timer_set(s->reactor, &p.timer, ms) < 0)
		return;
	reactor_run_until(s->reactor, is_past, &p.over);
	reactor_timer_cancel(s->reactor, &p.timer);
}

/* Who is preferred is shot later, and who is cut off from everybody does not shoot. */
static int break_tie(struct shot *s, struct err *err)
{
	struct err why;

	if (s->order->by_hand || !turns_off(s->order->goal))
		return 0;
	wait_delay(s);
	if (ping_any(&s->general->ping, MIN_OF(s->general->ping_wait, time_left(s)), &why) == 0)
		return 0;
	err_set(err, EPERM, "%.64s is not shot: this host may be the one that is cut off: %.200s",
		s->victim->name, why.text);
	return refuse(s, err);
}

static int take_lock(struct shot *s, struct err *err)
{
	const char *dir = s->general->run_directory, *who = s->order->who;
	struct err why;

	if (lease_prepare(dir, &why) < 0) {
		note(s, "without a lock", why.text);
		return 0;
	}
	s->lock = lease_lock(dir, s->victim->name, who, time_left(s) / 2, &why);
	if (s->lock == -EBUSY) {
		*err = why;
		return refuse(s, err);
	}
	if (s->lock < 0)
		note(s, "without a lock", why.text);
	if (s->order->goal == FENCE_ON && lease_may_on(dir, s->victim->name, who, err) == -EBUSY)
		return refuse(s, err);
	if (turns_off(s->order->goal) &&
		lease_want_off(dir, s->victim->name, who, s->general->off_lease * 1000, &why) < 0)
		note(s, "others may switch it on", why.text);
	return 0;
}

/* A disk that hangs costs a shot MS, no more. */
static void write_line(struct shot *s, json_t *entry, uint64_t ms)
{
	struct audit_head head;
	struct err why;
	int ret = s->scribe && entry ? scribe_append(s->scribe, entry, ms, &head, &why)
				     : err_set(&why, ENOMEM, "out of memory");

	if (ret == 0) {
		snprintf(s->result->audit_hash, sizeof(s->result->audit_hash), "%s", head.hash);
	} else {
		if (!s->result->unrecorded)
			note(s, "the audit log lacks a line", why.text);
		s->result->unrecorded = true;
	}
	json_decref(entry);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

static bool has_verdict(void *arg)
{
	const struct drive *d = arg;

	return drive_fence(d)->verdict != FENCE_WORKING;
}

static void run_plan(struct shot *s)
{
	const struct fence_times times = {.deadline = s->deadline,
		.dwell = s->victim->dwell,
		.on_pause = s->general->on_pause};
	struct shoot_result *r = s->result;

	s->reactor->now = clock_ms();
	drive_start(s->drive, s->order->goal, &times, do_nothing, NULL);
	reactor_run_until(s->reactor, has_verdict, s->drive);
	r->fence = *drive_fence(s->drive);
	if (r->fence.verdict == FENCE_WORKING) /* the reactor was stopped */
		r->fence.verdict = FENCE_FAILURE;
	for (size_t i = 0; i < s->victim->outlet_count; i++)
		snprintf(r->why[i], sizeof(r->why[i]), "%s", drive_why(s->drive, i));
	record_text(s->order, r);
}

/* What an administrator says counts only where the PDUs do not say otherwise. */
static bool is_confirmed(const struct shot *s)
{
	const struct fence *f = &s->result->fence;
	struct confirm c;

	if (!turns_off(s->order->goal) || !s->victim->accept_confirmation)
		return false;
	for (size_t i = 0; i < f->outlet_count; i++) {
		if (f->outlets[i].last == OUTLET_ON || f->outlets[i].last == OUTLET_PENDING)
			return false;
	}
	if (!confirm_take(s->general->run_directory, s->victim->name, CONFIRM_DOWN, &c))
		return false;
	snprintf(s->result->text, sizeof(s->result->text),
		"%.64s is off as %.127s has confirmed; it was not verified", s->victim->name,
		c.who);
	return true;
}

static void settle(struct shot *s)
{
	const struct fence *f = &s->result->fence;
	const char *dir = s->general->run_directory;

	if (f->verdict != FENCE_SUCCESS) {
		s->result->confirmed = is_confirmed(s);
	} else if (s->order->goal == FENCE_ON || (s->order->goal == FENCE_CYCLE && !f->on_failed)) {
		lease_drop(dir, s->victim->name);
		if (s->victim->policy == CONFIG_CYCLE_CONFIRMED)
			confirm_take(dir, s->victim->name, CONFIRM_ON, NULL);
	}
}

static int carry_out(struct shot *s, struct err *err)
{
	int ret;

	if (s->drive) {
		run_plan(s);
		ret = s->result->fence.verdict == FENCE_SUCCESS ? 0 : -EIO;
	} else {
		ret = proxy_client_run(s->order, time_left(s), s->reactor, s->result, err);
		s->refused = ret == -EPERM;
	}
	if (ret < 0) /* whatever a proxy says besides */
		s->result->confirmed = false;
	if (fence_goal_switches(s->order->goal))
		settle(s);
	return s->result->confirmed ? 0 : ret;
}

static const char *outcome_of(const struct shot *s, int ret)
{
	return s->result->confirmed ? "confirmed" /* also of what a proxy has refused */
		: s->refused        ? "refused"
		: ret == 0          ? "done"
				    : "failed";
}

static int run(struct shot *s, struct err *err)
{
	bool switching = fence_goal_switches(s->order->goal);
	int ret = switching ? break_tie(s, err) : 0;

	if (ret == 0 && switching)
		ret = take_lock(s, err);
	if (ret == 0 && switching)
		write_line(s, record_begin(s->order, s->id), BEGIN_LINE_MS);
	if (ret == 0)
		ret = carry_out(s, err);
	s->result->ms = clock_ms() - s->started;
	if (switching)
		write_line(s,
			record_end(s->order, s->id, s->result, outcome_of(s, ret), s->started),
			END_LINE_MS);
	return ret;
}

static int prepare(struct shot *s)
{
	const struct config_node *n = s->victim;
	struct shoot_result *r = s->result;

	memset(r, 0, sizeof(*r));
	r->fence.goal = s->order->goal;
	r->fence.verdict = FENCE_FAILURE;
	if (fence_goal_switches(s->order->goal)) {
		s->scribe = scribe_new(s->general->audit_log);
		hold_on_to_memory(); /* helpers have it from us that they are not chosen */
	}
	for (size_t i = 0; i < n->outlet_count; i++)
		snprintf(r->names[i], sizeof(r->names[i]), "%s", n->outlets[i].text);
	if (n->proxy)
		return 0;
	s->drive = drive_new(s->reactor, n);
	if (s->drive)
		return 0;
	snprintf(r->text, sizeof(r->text), "%.64s: out of memory", n->name);
	return -ENOMEM;
}

int shoot(const struct shoot_order *o, struct reactor *r, struct shoot_result *ret, struct err *err)
{
	struct shot s = {.order = o,
		.general = &o->config->general,
		.victim = o->victim,
		.reactor = r,
		.result = ret,
		.started = clock_ms(),
		.lock = -1};
	uint64_t ms = o->victim->deadline * 1000;
	size_t len;
	int status;

	s.deadline = s.started + (o->within ? MIN_OF(ms, o->within) : ms);
	snprintf(s.id, sizeof(s.id), "%d-%llu", getpid(), (unsigned long long)lease_clock_ms());
	status = prepare(&s);
	if (status == 0)
		status = run(&s, err);
	drive_free(s.drive);
	scribe_free(s.scribe);
	fd_close(&s.lock);
	len = strlen(ret->text);
	snprintf(ret->text + len, sizeof(ret->text) - len, "%s", s.notes);
	return status < 0 ? err_set(err, -status, "%s", ret->text) : 0;
}

void shoot_refused(const struct shoot_order *o, const char *why)
{
	struct shoot_result r = {.fence.goal = o->goal};
	struct shot s = {
		.order = o, .result = &r, .scribe = scribe_new(o->config->general.audit_log)};

	snprintf(s.id, sizeof(s.id), "%d-%llu", getpid(), (unsigned long long)lease_clock_ms());
	snprintf(r.text, sizeof(r.text), "%s", why);
	write_line(&s, record_end(o, s.id, &r, "refused", 0), END_LINE_MS);
	scribe_free(s.scribe);
}

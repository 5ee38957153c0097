/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our own outlets that are off while we run: looks again when it may be time, and has them switched
 * on. By the way of all switching: policy, the lease of who wants us off, the lock, the audit log.
 */
#include "watch_inner.h"

#include "clock.h"
#include "lease.h"
#include "log.h"
#include "policy.h"
#include "util.h"
#include "watch_repair.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHO "xnbd-stonithd"

enum { AGAIN_MS = 1000 }; /* a PDU that should be looked at is needed for a shot */

static struct watch_find *find_of(struct watch *w)
{
	return watch_find_node(&w->finds, (size_t)(w->self - w->config->nodes), WATCH_REPAIR);
}

static void set_state(struct watch *w, const char *state, const char *why)
{
	w->own.state = state;
	if (why != w->own.why)
		snprintf(w->own.why, sizeof(w->own.why), "%s", why);
}

/* When the PDU that was looked at first was looked at; 0 = one has not been yet. */
static uint64_t looked_at(const struct watch *w)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < w->config->pdu_count; i++) {
		const struct watch_pdu *p = &w->pdus[i];

		for (size_t k = 0; k < p->part_count; k++) {
			if (p->parts[k].whole == w->self)
				at = MIN_OF(at, p->finished_at);
		}
	}
	return at;
}

static void view(const struct watch *w, struct watch_repair_view *ret)
{
	const struct watch_judge_outlet *o = &w->outlets[w->first[w->self - w->config->nodes]];

	*ret = (struct watch_repair_view){.off_since = w->own.off_since,
		.looked = looked_at(w),
		.not_before = w->own.not_before,
		.lease = w->config->general.off_lease * 1000};
	for (size_t i = 0; i < w->self->outlet_count; i++) {
		if (o[i].tested && o[i].state == OUTLET_OFF)
			ret->off++;
		else if (o[i].tested && o[i].state == OUTLET_ON)
			ret->on++;
		else
			ret->unknown++;
	}
}

static void failed(struct watch *w, const char *why)
{
	char text[WATCH_FIND_TEXT_MAX];

	w->own.fails++;
	w->own.not_before = clock_ms() +
		watch_repair_gap(w->own.fails, w->config->general.audit_interval * 1000);
	snprintf(text, sizeof(text), "%s: could not be switched on again: %.200s", w->self->name,
		why);
	set_state(w, "failed", why);
	watch_tell(w, find_of(w), WATCH_YES, text);
}

/* Somebody is at our outlets right now. */
static void put_off(struct watch *w, const char *why)
{
	w->own.not_before =
		clock_ms() + watch_repair_gap(1, w->config->general.audit_interval * 1000);
	set_state(w, "waiting", why);
}

static void on_switched(struct watch_child *c, const struct watch_child_answer *a)
{
	struct watch *w = container_of(c, struct watch, own.child);

	if (a->ret == 0) {
		w->own.done++;
		w->own.fails = 0;
		w->own.not_before = clock_ms(); /* what was read before counts no more */
		set_state(w, "idle", "");
		log_info("own outlets were switched on again: %s", a->text);
	} else if (a->ret == -EBUSY) {
		put_off(w, a->text);
	} else {
		failed(w, a->text);
	}
	watch_now(w);
}

/* False: somebody wants us off, or it is not for us to do. */
static bool may_switch(struct watch *w)
{
	const struct policy_request q = {
		.action = POLICY_ON, .by = POLICY_BY_DAEMON, .victim = w->self, .self = w->self};
	enum fence_goal goal;
	struct err err = {0};

	if (policy_decide(&q, &goal, &err) == 0 &&
		lease_may_on(w->config->general.run_directory, w->self->name, WHO, &err) != -EBUSY)
		return true;
	set_state(w, "waiting", err.text);
	return false;
}

static void act(struct watch *w)
{
	const struct shoot_order o = {.config = w->config,
		.victim = w->self,
		.goal = FENCE_ON,
		.who = WHO,
		.reason = "an outlet of this host is off while it runs"};
	int ret;

	if (!may_switch(w))
		return;
	ret = watch_child_start(&w->own.child, &o);
	if (ret == 0) {
		set_state(w, "switching on", "");
		log_warn("own outlets that are off are being switched on again");
	} else if (ret != -EBUSY) {
		failed(w, "no process for it could be started");
	}
}

/* Its time is there, or comes before the next audit. */
static void wait_until(struct watch *w, uint64_t at)
{
	uint64_t now = clock_ms();

	set_state(w, w->own.fails ? "failed" : "waiting",
		w->own.fails ? w->own.why : "it may be part of a shot that is going on");
	if (!w->soon.slot)
		reactor_timer_set(w->reactor, &w->soon, at > now ? at - now : AGAIN_MS);
}

static bool is_looking(const struct watch *w)
{
	for (size_t i = 0; i < w->config->pdu_count; i++) {
		if (w->pdus[i].step != WATCH_IDLE)
			return true;
	}
	return false;
}

static void none_off(struct watch *w, const struct watch_repair_view *v)
{
	if (v->unknown > 0) /* it may have been one of those */
		return;
	w->own.off_since = w->own.not_before = 0;
	w->own.fails = 0;
	set_state(w, "idle", "");
	watch_tell(w, find_of(w), WATCH_NO, "");
}

static void all_off(struct watch *w)
{
	char text[WATCH_FIND_TEXT_MAX];

	snprintf(text, sizeof(text),
		"%s: all its outlets are off, and it runs: they are not its outlets; nothing is "
		"switched on",
		w->self->name);
	set_state(w, "refused", text);
	watch_tell(w, find_of(w), WATCH_YES, text);
}

static void decide(struct watch *w)
{
	struct watch_repair_view v;
	uint64_t at = 0;

	view(w, &v);
	if (v.off > 0 && w->own.off_since == 0)
		v.off_since = w->own.off_since = clock_ms();
	switch (watch_repair_decide(&v, clock_ms(), &at)) {
	case WATCH_REPAIR_REST:
		none_off(w, &v);
		break;
	case WATCH_REPAIR_WAIT:
		if (at > clock_ms() || !is_looking(w))
			wait_until(w, at);
		break;
	case WATCH_REPAIR_WRONG:
		all_off(w);
		break;
	case WATCH_REPAIR_ACT:
		act(w);
		break;
	}
}

void watch_own_check(struct watch *w)
{
	if (w->self && w->self->outlet_count && w->config->general.repair_own &&
		!w->own.child.running)
		decide(w);
}

void watch_own_init(struct watch *w)
{
	w->own.state = w->config->general.repair_own ? "idle" : "not configured";
	watch_child_init(&w->own.child, w->reactor, on_switched);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a plan says is done here: under the set's lock, after a second look that must find what the
 * plan was made of. What failed when it was reloaded is not tried again by itself (-> trouble).
 */
#include "sync_act.h"

#include "log.h"
#include "transfer_inner.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct vector no_vector;

static bool is_alone(const struct sync_act *x)
{
	return x->talk == NULL;
}

/* Counts for the result, and tells who asked. */
static void on_progress(void *arg, const char *what, uint64_t files, uint64_t files_all,
	uint64_t bytes, uint64_t bytes_all)
{
	struct sync_act *x = arg;
	const struct transfer_progress *p = x->order->progress;

	x->result->changed = files;
	x->result->bytes = bytes;
	if (p)
		p->fn(p->arg, what, files, files_all, bytes, bytes_all);
}

/* What would be in force afterwards, if it is known. */
static const uint8_t *goal(const struct sync_act *x)
{
	switch (x->plan.action) {
	case PLAN_PUBLISH:
		return x->me.live;
	case PLAN_SEND:
		return x->me.digest;
	case PLAN_FETCH:
		return x->peer.digest;
	case PLAN_FETCH_PUBLISH:
		return x->peer.live;
	default:
		return NULL;
	}
}

static bool has_failed_before(const struct sync_act *x, struct err *err)
{
	struct state_trouble t;
	const uint8_t *digest = goal(x);

	if (x->order->again || !digest || !state_trouble_read(&x->state, &t) || !t.failed ||
		hash_is_zero(t.digest) || !sync_same(t.digest, digest))
		return false;
	err_set(err, EREMOTEIO, "not tried again before it is changed: %.440s", t.text);
	return true;
}

static const char *reason(const struct sync_act *x)
{
	switch (x->order->wish) {
	case PLAN_PUSH:
	case PLAN_PUSH_HERE:
		return "push";
	case PLAN_PULL:
		return "pull";
	case PLAN_KEEP_MINE:
		return "resolve: kept mine";
	case PLAN_KEEP_THEIRS:
		return "resolve: kept theirs";
	case PLAN_AUTO:
		break;
	}
	return "sync";
}

static int deliver(
	struct sync_act *x, const struct generation *next, bool set_aside, struct err *err)
{
	struct transfer_progress p = {on_progress, x};
	struct state *s = &x->state;
	bool active = sync_is_active(s->config, s->set);

	if (is_alone(x))
		return transfer_alone(s, &x->scan.files, next, active, err);
	return transfer_send(
		x->talk, s, &x->scan.files, next, &x->peer, set_aside, active, &p, NULL, err);
}

static int publish(struct sync_act *x, struct err *err)
{
	struct generation next;
	int r = sync_next(&x->state, &x->scan.files, is_alone(x) ? &no_vector : &x->peer.vector,
		is_alone(x) ? 0 : x->peer.number, reason(x), &next, err);

	if (r < 0)
		return r;
	r = deliver(x, &next, x->plan.set_aside, err);
	generation_done(&next);
	return r;
}

static int send_now(struct sync_act *x, struct err *err)
{
	struct generation next;
	int r = generation_copy(&next, &x->state.now);

	if (r < 0)
		return err_sys(err, -r, "set %s", x->state.set->name);
	r = deliver(x, &next, x->plan.set_aside, err);
	generation_done(&next);
	return r;
}

static int fetch(struct sync_act *x, struct err *err)
{
	struct transfer_progress p = {on_progress, x};
	struct message m = {.kind = MESSAGE_FETCH,
		.publish = x->plan.action == PLAN_FETCH_PUBLISH,
		.set_aside = x->plan.set_aside,
		.number = x->me.number,
		.vector = x->me.vector};
	struct message offer = {0};
	struct state *s = &x->state;
	int r;

	snprintf(m.set, sizeof(m.set), "%s", s->set->name);
	snprintf(m.text, sizeof(m.text), "%s", reason(x));
	memcpy(m.hash, x->me.digest, MANIFEST_HASH);
	r = talk_send(x->talk, &m, err);
	if (r == 0)
		r = talk_expect(x->talk, MESSAGE_OFFER, &offer, err);
	if (r < 0)
		return r;
	if (strcmp(offer.set, s->set->name) != 0 || (offer.set_aside && !x->plan.set_aside)) {
		talk_kill(x->talk);
		r = err_set(err, EPROTO, "the peer offers what was not asked for");
	} else {
		r = transfer_receive(
			x->talk, s, &offer, sync_is_active(s->config, s->set), &p, err);
	}
	message_done(&offer);
	return r;
}

static int roll_back(struct sync_act *x, struct err *err)
{
	struct generation past, next;
	char why[64];
	int r;

	if (x->me.unusable)
		return err_set(err, EIO, "%s", x->scan.faults[0] ? x->scan.faults[0] : "");
	generation_init(&past);
	r = state_past(&x->state, x->order->rollback_to, &past, err);
	if (r < 0)
		return r;
	snprintf(why, sizeof(why), "rollback to %llu", (unsigned long long)past.number);
	r = sync_set_aside(&x->state, &x->scan, "rollback", err);
	if (r == 0)
		r = sync_next(&x->state, &past.files, is_alone(x) ? &no_vector : &x->peer.vector,
			is_alone(x) ? 0 : x->peer.number, why, &next, err);
	generation_done(&past);
	if (r < 0)
		return r;
	r = deliver(x, &next, true, err);
	generation_done(&next);
	return r;
}

static int act_locked(struct sync_act *x, struct err *err)
{
	struct plan_side before = x->me;
	int r;

	scan_done(&x->scan);
	memset(&x->scan, 0, sizeof(x->scan));
	r = sync_side(&x->state, false, &x->me, &x->scan, err);
	if (r < 0)
		return r;
	if (!sync_same_side(&before, &x->me))
		return err_set(err, EAGAIN, "set %s is being changed", x->state.set->name);
	if (x->order->rollback_to)
		return roll_back(x, err);
	if (has_failed_before(x, err))
		return -EREMOTEIO;
	switch (x->plan.action) {
	case PLAN_PUBLISH:
		return publish(x, err);
	case PLAN_SEND:
		return send_now(x, err);
	case PLAN_AGREE:
		return sync_agree(x->talk, &x->state, &x->scan, &x->me, &x->peer, err);
	default:
		return fetch(x, err);
	}
}

static int change(struct sync_act *x, struct err *err)
{
	int r;

	if (state_is_frozen(&x->state))
		return err_set(err, EPERM, "set %s is held by `hold add`", x->state.set->name);
	r = state_lock(&x->state, SYNC_LOCK_MS, err);
	if (r < 0)
		return r;
	r = act_locked(x, err);
	state_unlock(&x->state);
	return r;
}

/* There is a reason for people to look; since when is kept. A failure is not forgotten while what
 * failed is still there. */
static int note_wait(struct sync_act *x, struct err *err)
{
	struct state_trouble old, now = {.why = x->plan.why, .since = time(NULL)};
	int r;

	if (state_trouble_read(&x->state, &old) &&
		((old.failed && !hash_is_zero(old.digest)) ||
			(old.why == now.why && !old.failed && !old.held)))
		return 0;
	snprintf(now.text, sizeof(now.text), "%s", plan_why_text(x->plan.why));
	r = state_trouble_write(&x->state, &now);
	return r < 0 ? err_sys(err, -r, "set %s", x->state.set->name) : 0;
}

int sync_act(struct sync_act *x, struct err *err)
{
	if (x->order->rollback_to && (x->me.in_doubt || x->peer.in_doubt))
		return err_set(err, EAGAIN,
			"set %s: it is not known how the last transaction ended",
			x->state.set->name);
	if (x->order->rollback_to)
		return change(x, err);
	switch (x->plan.action) {
	case PLAN_NOTHING:
		state_trouble_clear(&x->state);
		return 0;
	case PLAN_SETTLE: /* was tried */
		return note_wait(x, err);
	case PLAN_WAIT:
		if (x->plan.why == PLAN_BECAUSE_UNUSABLE && x->scan.faults[0])
			err_set(err, 0, "%s", x->scan.faults[0]);
		return note_wait(x, err);
	case PLAN_HOLD:
		return is_alone(x) ? note_wait(x, err)
				   : sync_hold(x->talk, &x->state, &x->plan, &x->peer, err);
	default:
		return change(x, err);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the sets are, from what the daemon's child reports; for the log, the service manager and the
 * control socket. A situation is told once, when it begins; what a transaction did is told each
 * time. The peer that is not reached is told once for all sets.
 */
#include "daemon_inner.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[DAEMON_SITUATIONS] = {
	[DAEMON_UNKNOWN] = "unknown",
	[DAEMON_IN_STEP] = "in step",
	[DAEMON_PENDING] = "pending",
	[DAEMON_WAITS] = "waits",
	[DAEMON_HELD] = "held",
	[DAEMON_FROZEN] = "on hold",
	[DAEMON_FAILED] = "failed",
};

const char *daemon_view_name(enum daemon_situation s)
{
	return names[s];
}

uint64_t daemon_view_used(const struct config *c)
{
	uint64_t sets = 0;

	for (size_t i = 0; i < c->set_count; i++)
		sets |= c->sets[i].kind == CONFIG_LOCAL ? 0 : 1ULL << i;
	return sets;
}

/* Situations. */

enum { BUSY_TOLD = 3 };

/* Somebody else is at it, or it is being changed: of no interest unless it stays so. */
static bool is_busy(const struct daemon *d, const struct daemon_report *r)
{
	return (r->code == -EBUSY || r->code == -EAGAIN) &&
		d->schedule.sets[r->set].failures < BUSY_TOLD;
}

static bool has_failed(const struct daemon_report *r)
{
	return r->code < 0 && !(r->frozen && r->code == -EPERM);
}

static enum daemon_situation judge_talk(const struct daemon_report *r, enum daemon_situation before)
{
	if (has_failed(r))
		return DAEMON_FAILED;
	if (r->frozen)
		return DAEMON_FROZEN;
	if (r->in_step)
		return DAEMON_IN_STEP;
	if (!r->reached && before == DAEMON_HELD)
		return DAEMON_HELD;
	if (!r->reached && (r->plan.action != PLAN_WAIT || r->plan.why == PLAN_BECAUSE_FIRST))
		return DAEMON_PENDING;
	if (r->plan.action == PLAN_HOLD)
		return DAEMON_HELD;
	if (r->plan.action == PLAN_WAIT || r->plan.action == PLAN_SETTLE)
		return DAEMON_WAITS;
	return r->plan.action == PLAN_NOTHING ? DAEMON_IN_STEP : DAEMON_PENDING;
}

/* A scan that finds something else is followed by a conversation, which says what it is. */
static enum daemon_situation judge(
	const struct daemon *d, const struct daemon_report *r, enum daemon_situation before)
{
	if (is_busy(d, r))
		return before;
	if (r->talked)
		return judge_talk(r, before);
	if (has_failed(r))
		return DAEMON_FAILED;
	return r->in_step && !r->frozen ? DAEMON_IN_STEP : before;
}

static void describe(const struct daemon_report *r, enum daemon_situation s, char *ret, size_t room)
{
	ret[0] = 0;
	if (s == DAEMON_FAILED)
		snprintf(ret, room, "%s", r->text);
	else if (s == DAEMON_WAITS && r->reached && *r->text)
		snprintf(ret, room, "%s: %.400s", plan_why_text(r->plan.why), r->text);
	else if (s == DAEMON_WAITS || s == DAEMON_HELD || s == DAEMON_PENDING)
		snprintf(ret, room, "%s", plan_why_text(r->plan.why));
}

/* Without "set NAME: ", which some texts begin with. */
static const char *bare(const char *text, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(text, "set ", 4) == 0 && strncmp(text + 4, name, len) == 0 &&
		strncmp(text + 4 + len, ": ", 2) == 0)
		return text + 4 + len + 2;
	return text;
}

static void tell(const struct daemon *d, size_t set)
{
	const struct daemon_set *x = &d->sets[set];
	const char *name = d->config->sets[set].name, *peer = d->config->peer->name;

	switch (x->situation) {
	case DAEMON_IN_STEP:
		log_info("set %s: in step with %s", name, peer);
		break;
	case DAEMON_PENDING:
		log_warn("set %s: waits for %s, which is not reached", name, peer);
		break;
	case DAEMON_WAITS:
		log_warn("set %s: waits: %s", name, x->text);
		break;
	case DAEMON_HELD:
		log_warn("set %s: held: %s: see diff, then resolve", name, x->text);
		break;
	case DAEMON_FROZEN:
		log_info("set %s: left alone (hold add)", name);
		break;
	case DAEMON_FAILED:
		log_error("set %s: %s", name, bare(x->text, name));
		break;
	default:
		break;
	}
}

static void enter(struct daemon *d, size_t set, enum daemon_situation s, const char *text)
{
	struct daemon_set *x = &d->sets[set];
	enum daemon_situation before = x->situation;
	/* Without the peer a plan has other words for the same. */
	bool same = before == s &&
		(s == DAEMON_PENDING || s == DAEMON_HELD || strcmp(x->text, text) == 0);

	snprintf(x->text, sizeof(x->text), "%s", text);
	if (same)
		return;
	x->situation = s;
	x->at = d->reactor.now;
	tell(d, set);
}

/* Transactions. */

static void tell_done(const struct daemon *d, const struct daemon_report *r)
{
	const char *name = d->config->sets[r->set].name, *peer = d->config->peer->name;
	unsigned long long number = r->me.number, files = r->changed, bytes = r->bytes;

	if (!r->reached)
		log_info("set %s: generation %llu made, waits for %s", name, number, peer);
	else if (r->plan.action == PLAN_PUBLISH || r->plan.action == PLAN_SEND)
		log_info("set %s: generation %llu sent to %s: %llu contents, %llu bytes", name,
			number, peer, files, bytes);
	else if (r->plan.action == PLAN_FETCH || r->plan.action == PLAN_FETCH_PUBLISH)
		log_info("set %s: generation %llu taken from %s: %llu contents, %llu bytes", name,
			number, peer, files, bytes);
}

static void take_role(struct daemon *d, const struct daemon_report *r)
{
	const struct config_set *s = &d->config->sets[r->set];

	if (!d->config->general.role_command || has_failed(r) ||
		(s->writer != PLAN_ACTIVE && s->reload_on == CONFIG_BOTH))
		return;
	if (d->role == (int)r->me.active)
		return;
	d->role = r->me.active;
	log_info("this node is %s", d->role ? "active" : "not active");
}

void daemon_view_take(struct daemon *d, const struct daemon_report *r)
{
	struct daemon_set *x = &d->sets[r->set];
	enum daemon_situation s = judge(d, r, x->situation);
	char text[ERR_TEXT_MAX];

	take_role(d, r);
	if (r->done) {
		x->transactions++;
		x->changed += r->changed;
		tell_done(d, r);
	}
	if (s != x->situation || (r->talked && !is_busy(d, r))) {
		describe(r, s, text, sizeof(text));
		enter(d, r->set, s, text);
	}
	if (r->talked) {
		x->last = *r;
		x->known = true;
	}
}

void daemon_view_failed(struct daemon *d, size_t set, const char *why)
{
	enter(d, set, DAEMON_FAILED, why);
}

/* What the scheduler is told. */

static bool is_known(const struct daemon_set *x, const struct plan_side *me)
{
	const struct plan_side *old = &x->last.me;

	return x->known && old->number == me->number && old->active == me->active &&
		old->unusable == me->unusable && old->in_doubt == me->in_doubt &&
		memcmp(old->digest, me->digest, MANIFEST_HASH) == 0 &&
		memcmp(old->live, me->live, MANIFEST_HASH) == 0;
}

enum schedule_outcome daemon_view_outcome(const struct daemon *d, const struct daemon_report *r)
{
	if (r->talked && !r->reached)
		return SCHEDULE_UNREACHED;
	if (has_failed(r))
		return SCHEDULE_FAILED;
	if (!r->talked)
		return r->in_step || is_known(&d->sets[r->set], &r->me) ? SCHEDULE_SAME
									: SCHEDULE_DIFFERS;
	return r->plan.action == PLAN_SETTLE && !r->frozen ? SCHEDULE_FAILED : SCHEDULE_DONE;
}

/* The peer. */

void daemon_view_peer(struct daemon *d, bool reached, const char *why)
{
	enum daemon_reached now = reached ? DAEMON_REACHED : DAEMON_NOT_REACHED;

	snprintf(d->unreached, sizeof(d->unreached), "%s", reached ? "" : why);
	if (now == d->reached)
		return;
	if (!reached)
		log_warn("%s is not reached: %s", d->config->peer->name, why);
	else
		log_info("%s is reached", d->config->peer->name);
	d->reached = now;
}

/* Words. */

static void add(char *ret, size_t room, size_t count, const char *what)
{
	size_t len = strlen(ret);

	if (count)
		snprintf(ret + len, room - len, ", %zu %s", count, what);
}

void daemon_view_line(const struct daemon *d, char *ret, size_t room)
{
	size_t counts[DAEMON_SITUATIONS] = {0}, all = 0, len;

	for (size_t i = 0; i < d->config->set_count; i++) {
		if (d->config->sets[i].kind == CONFIG_LOCAL)
			continue;
		counts[d->sets[i].situation]++;
		all++;
	}
	snprintf(ret, room, "%zu of %zu sets in step", counts[DAEMON_IN_STEP], all);
	for (int i = DAEMON_PENDING; i < DAEMON_SITUATIONS; i++)
		add(ret, room, counts[i], i == DAEMON_WAITS ? "waiting" : names[i]);
	len = strlen(ret);
	if (d->reached == DAEMON_NOT_REACHED)
		snprintf(ret + len, room - len, "; %s is not reached", d->config->peer->name);
	len = strlen(ret);
	if (d->fault[0])
		snprintf(ret + len, room - len, "; the new configuration is faulty");
}

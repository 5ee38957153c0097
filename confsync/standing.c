/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judgement about a set, pure: facts in, a word, a reason and an exit status out. What is
 * certain and grave comes first: what cannot be found out, a transaction without an end, what
 * people or the last attempt have left; then what a plan with the peer's last words would be.
 */
#include "standing.h"

#include "command.h"
#include "report.h"
#include "str.h"
#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *word;
	int status;
} kinds[] = {
	[STANDING_IN_STEP] = {"in step", COMMAND_DONE},
	[STANDING_LOCAL] = {"local", COMMAND_DONE},
	[STANDING_PENDING] = {"pending", COMMAND_PENDING},
	[STANDING_BEHIND] = {"behind", COMMAND_BEHIND},
	[STANDING_IN_DOUBT] = {"in doubt", COMMAND_BEHIND},
	[STANDING_UNKNOWN] = {"unknown", COMMAND_FAILED},
	[STANDING_DRIFT] = {"drift", COMMAND_HELD},
	[STANDING_HELD] = {"held", COMMAND_HELD},
	[STANDING_REFUSED] = {"refused", COMMAND_HELD},
	[STANDING_FROZEN] = {"frozen", COMMAND_HELD},
};

const char *standing_word(enum standing_kind k)
{
	return kinds[k].word;
}

int standing_exit(enum standing_kind k)
{
	return kinds[k].status;
}

/* Lines of a hook's output become one. */
static void say(struct standing *s, enum standing_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct standing *s, enum standing_kind kind, const char *fmt, ...)
{
	char text[sizeof(s->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; (p = strchr(p, '\n'));)
		*p = p[1] ? '|' : 0;
	s->kind = kind;
	str_printable(s->text, sizeof(s->text), text, strlen(text));
}

static bool is_edited(const struct plan_side *s)
{
	return s->number ? memcmp(s->digest, s->live, MANIFEST_HASH) != 0 : !s->empty;
}

/* A change that waits: whose is it? */
static void judge_waiting(
	const struct standing_facts *f, const struct plan *p, struct standing *ret)
{
	bool mine = is_edited(&f->me) ||
		vector_compare(&f->me.vector, &f->peer.side.vector) == VECTOR_AHEAD;

	switch (p->why) {
	case PLAN_BECAUSE_DRIFT_HERE:
	case PLAN_BECAUSE_DRIFT_THERE:
		say(ret, STANDING_DRIFT, "%s", plan_why_text(p->why));
		return;
	case PLAN_BECAUSE_UNUSABLE:
	case PLAN_BECAUSE_UNUSABLE_THERE:
		say(ret, STANDING_REFUSED, "%s", plan_why_text(p->why));
		return;
	case PLAN_BECAUSE_TWO_ACTIVE:
	case PLAN_BECAUSE_EMPTIED:
	case PLAN_BECAUSE_EMPTIED_THERE:
		say(ret, STANDING_HELD, "%s", plan_why_text(p->why));
		return;
	case PLAN_BECAUSE_MANUAL:
		say(ret, mine ? STANDING_PENDING : STANDING_BEHIND,
			mine ? "a change here waits for `push`"
			     : "a change there waits for `pull`");
		return;
	default:
		say(ret, STANDING_PENDING, "%s", plan_why_text(p->why));
	}
}

/* Since when it waits, if it was noted for the same reason. */
static void take_since(const struct standing_facts *f, const struct plan *p, struct standing *ret)
{
	if (f->has_trouble && f->trouble.why == p->why)
		ret->since = f->trouble.since;
}

static void judge_plan(const struct standing_facts *f, const struct plan *p, struct standing *ret)
{
	switch (p->action) {
	case PLAN_NOTHING:
	case PLAN_AGREE:
		say(ret, STANDING_IN_STEP, "%s", "");
		return;
	case PLAN_SETTLE:
		say(ret, STANDING_IN_DOUBT, "%s", plan_why_text(p->why));
		return;
	case PLAN_PUBLISH:
	case PLAN_SEND:
		say(ret, STANDING_PENDING, "%s has not yet what was changed here", f->peer_name);
		return;
	case PLAN_FETCH:
	case PLAN_FETCH_PUBLISH:
		say(ret, STANDING_BEHIND, "%s has something newer", f->peer_name);
		return;
	case PLAN_HOLD:
		take_since(f, p, ret);
		say(ret, STANDING_HELD, "%s", plan_why_text(p->why));
		return;
	case PLAN_WAIT:
		break;
	}
	take_since(f, p, ret);
	judge_waiting(f, p, ret);
}

/* Without the peer PUBLISH and NOTHING say nothing about what it has. */
static void judge_alone(const struct standing_facts *f, struct standing *ret)
{
	struct plan p = plan_alone(&f->me, f->writer, PLAN_AUTO);

	if (!f->me.number)
		say(ret, STANDING_PENDING, "never synchronised with %s", f->peer_name);
	else if (p.action == PLAN_NOTHING)
		say(ret, STANDING_PENDING, "%s has not been seen", f->peer_name);
	else
		judge_plan(f, &p, ret);
}

static void judge_phase(const struct standing_facts *f, struct standing *ret)
{
	if (f->busy)
		say(ret, STANDING_PENDING, "a transaction is under way");
	else
		say(ret, STANDING_IN_DOUBT, "a transaction has not come to its end (%s)",
			apply_phase_text(f->phase));
}

static void judge_trouble(const struct standing_facts *f, struct standing *ret)
{
	const struct state_trouble *t = &f->trouble;

	ret->since = t->since;
	say(ret, t->held ? STANDING_HELD : STANDING_REFUSED, "%s",
		*t->text ? t->text : plan_why_text(t->why));
}

static void judge_fault(const struct standing_facts *f, struct standing *ret)
{
	char more[REPORT_TEXT] = "";

	if (f->fault_count > 1)
		snprintf(more, sizeof(more), " (and %zu more: xnbd-confsync check)",
			f->fault_count - 1);
	say(ret, STANDING_REFUSED, "%s%s", f->fault, more);
}

void standing_judge(const struct standing_facts *f, struct standing *ret)
{
	struct plan p;

	ret->edited = is_edited(&f->me);
	if (f->local) {
		say(ret, STANDING_LOCAL, "of this node alone");
	} else if (f->failure) {
		say(ret, STANDING_UNKNOWN, "%s", f->failure);
	} else if (f->phase != APPLY_NONE) {
		judge_phase(f, ret);
	} else if (f->frozen) {
		say(ret, STANDING_FROZEN, "left alone until `hold release %s`", ret->set->name);
	} else if (f->fault) {
		judge_fault(f, ret);
	} else if (f->has_trouble && (f->trouble.held || f->trouble.failed)) {
		judge_trouble(f, ret);
	} else if (f->asked) {
		judge_plan(f, f->asked, ret);
	} else if (!f->has_peer || !f->peer.time) {
		judge_alone(f, ret);
	} else {
		p = plan_make(&f->me, &f->peer.side, f->writer, PLAN_AUTO, f->peer_fenced, false);
		judge_plan(f, &p, ret);
	}
}

/* What is said of it. */

static void add(char *out, size_t room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *out, size_t room, const char *fmt, ...)
{
	size_t used = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + used, room - used, fmt, ap);
	va_end(ap);
}

/* "NODE: why" where NODE has just been said. */
static const char *without_name(const char *text, const char *name)
{
	size_t len = strlen(name);

	return strncmp(text, name, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2
										  : text;
}

void standing_line(const struct standing *s, const char *peer_name, char *out, size_t room)
{
	char seen[REPORT_TEXT], since[REPORT_TEXT], digest[REPORT_SHORT];

	snprintf(out, room, "%s: %s", s->set->name, standing_word(s->kind));
	if (s->since) {
		report_time(s->since, since);
		add(out, room, " since %s", since);
	}
	if (*s->text)
		add(out, room, ": %s", s->text);
	if (s->kind == STANDING_LOCAL || s->kind == STANDING_UNKNOWN)
		return;
	report_short(s->digest, digest);
	if (s->number)
		add(out, room, ", generation %llu (%s)%s", (unsigned long long)s->number, digest,
			s->edited ? ", edited since" : "");
	report_seen(&s->peer, seen);
	if (!s->has_peer || !s->peer.time)
		add(out, room, ", %s never seen", peer_name);
	else
		add(out, room, ", %s %sseen %s", peer_name, s->peer.reached ? "" : "last ", seen);
	if (s->has_peer && !s->peer.reached && *s->peer.text)
		add(out, room, " (%s)", without_name(s->peer.text, peer_name));
}

static json_t *peer_document(const struct standing *s)
{
	json_t *d = json_object();
	int64_t age = s->has_peer ? report_age(&s->peer) : -1;

	json_object_set_new(d, "seen", s->peer.time ? json_integer(s->peer.time) : json_null());
	json_object_set_new(d, "age", age >= 0 ? json_integer(age) : json_null());
	json_object_set_new(d, "reached", json_boolean(s->peer.reached));
	json_object_set_new(d, "text", report_text(s->peer.text));
	json_object_set_new(d, "generation", json_integer((json_int_t)s->peer.side.number));
	json_object_set_new(d, "digest", report_hash(s->peer.side.digest));
	return d;
}

json_t *standing_document(const struct standing *s)
{
	json_t *d = json_object();

	json_object_set_new(d, "set", json_string(s->set->name));
	json_object_set_new(d, "state", json_string(standing_word(s->kind)));
	json_object_set_new(d, "status", json_integer(standing_exit(s->kind)));
	json_object_set_new(d, "text", report_text(s->text));
	json_object_set_new(d, "since", s->since ? json_integer(s->since) : json_null());
	json_object_set_new(d, "generation", json_integer((json_int_t)s->number));
	json_object_set_new(d, "digest", report_hash(s->digest));
	json_object_set_new(d, "edited", json_boolean(s->edited));
	json_object_set_new(d, "peer", s->has_peer ? peer_document(s) : json_null());
	return d;
}

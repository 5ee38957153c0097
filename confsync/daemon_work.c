/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon's child does. A scan is this node's side of a set, from which it can be told
 * without the peer whether anything is to be done: it is in step if files, generation in force and
 * what the peer said last are all the same. So what a transaction has just written causes nothing
 * more.
 */
#include "daemon_work.h"

#include "fsutil.h"
#include "scan.h"
#include "state.h"
#include "sync.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { SCAN_MS = 60000, HOOKS = 3 };

_Static_assert(sizeof(struct daemon_report) <= PIPE_BUF, "a report is written at once");

static bool same(const uint8_t a[MANIFEST_HASH], const uint8_t b[MANIFEST_HASH])
{
	return memcmp(a, b, MANIFEST_HASH) == 0;
}

/* As far as can be told without the peer. */
static bool is_in_step(const struct state *s, const struct plan_side *me)
{
	struct state_peer p;

	return me->number > 0 && !me->in_doubt && same(me->live, me->digest) &&
		state_peer_read(s, &p) == 0 && !p.side.in_doubt &&
		same(p.side.digest, me->digest) && same(p.side.live, me->live) &&
		vector_compare(&p.side.vector, &me->vector) == VECTOR_EQUAL;
}

static void put_error(struct daemon_report *r, int code, const struct err *err)
{
	r->code = code;
	snprintf(r->text, sizeof(r->text), "%s", err->text);
}

static int look(struct state *s, struct daemon_report *r, struct err *err)
{
	struct scan scan;
	int code = sync_side(s, false, &r->me, &scan, err);

	if (code < 0)
		return code;
	r->in_step = is_in_step(s, &r->me);
	if (scan.fault_count)
		snprintf(r->text, sizeof(r->text), "%s", scan.faults[0]);
	scan_done(&scan);
	return 0;
}

static void scan_one(const struct config *c, size_t set, struct daemon_report *r)
{
	struct err err = {0};
	struct state s;
	int code = state_open(&s, c, &c->sets[set], &err);

	if (code == 0) {
		code = look(&s, r, &err);
		r->frozen = state_is_frozen(&s);
		state_close(&s);
	}
	if (code < 0)
		put_error(r, code, &err);
}

static int send_report(const struct daemon_report *r, int fd)
{
	return fs_write_all(fd, r, sizeof(*r));
}

static int scan_sets(const struct config *c, uint64_t sets, int fd)
{
	int r = 0;

	for (size_t i = 0; i < c->set_count && r == 0; i++) {
		struct daemon_report report = {.set = (uint32_t)i};

		if (!(sets & 1ULL << i))
			continue;
		scan_one(c, i, &report);
		r = send_report(&report, fd);
	}
	return r;
}

/* Conversations. */

/* The files are those of the generation now. */
static bool was_done(const struct sync_result *x)
{
	return x->code == 0 && x->plan.action != PLAN_WAIT && x->plan.action != PLAN_HOLD &&
		x->plan.action != PLAN_SETTLE && x->plan.action != PLAN_NOTHING;
}

static void describe(const struct config *c, size_t set, const struct err *why,
	const struct sync_result *x, struct daemon_report *r)
{
	struct state s;
	struct err err;

	*r = (struct daemon_report){.set = (uint32_t)set,
		.talked = true,
		.reached = x->reached,
		.plan = x->plan,
		.me = x->me,
		.changed = x->changed,
		.bytes = x->bytes};
	r->done = was_done(x);
	put_error(r, x->code, x->code < 0 || *x->err.text ? &x->err : why);
	if (state_open(&s, c, &c->sets[set], &err) < 0)
		return;
	r->me.number = s.now.number;
	r->me.vector = s.now.vector;
	memcpy(r->me.digest, s.now.digest, MANIFEST_HASH);
	if (r->done)
		memcpy(r->me.live, s.now.digest, MANIFEST_HASH);
	r->in_step = is_in_step(&s, &r->me);
	r->frozen = state_is_frozen(&s);
	state_close(&s);
}

static int talk_about(const struct config *c, struct talk *t, const struct err *why,
	const size_t *sets, size_t count, bool full, int fd)
{
	const struct sync_order order = {.wish = PLAN_AUTO, .full = full};
	CLEANUP_FREE struct sync_result *results = calloc(count, sizeof(*results));
	const struct config_set *list[CONFIG_SETS_MAX];
	struct daemon_report report;
	int r = results ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		list[i] = &c->sets[sets[i]];
	sync_sets(c, t, why, list, count, &order, results);
	for (size_t i = 0; i < count && r == 0; i++) {
		describe(c, sets[i], why, &results[i], &report);
		r = send_report(&report, fd);
	}
	return r;
}

static int sync_all(const struct config *c, const struct schedule_job *job, int fd)
{
	size_t sets[CONFIG_SETS_MAX], count = 0;
	struct err why = {0};
	struct talk *t = NULL;
	int r;

	for (size_t i = 0; i < c->set_count; i++) {
		if (job->sets & 1ULL << i)
			sets[count++] = i;
	}
	if (talk_call(c, &t, &why) < 0)
		t = NULL;
	r = talk_about(c, t, &why, sets, count, job->kind == SCHEDULE_FULL, fd);
	if (t)
		talk_end(t);
	return r;
}

int daemon_work(const struct config *c, const struct schedule_job *job, int fd)
{
	return job->kind == SCHEDULE_SCAN ? scan_sets(c, job->sets, fd) : sync_all(c, job, fd);
}

uint64_t daemon_work_deadline(const struct config *c, const struct schedule_job *job)
{
	uint64_t ms = (c->general.connect_timeout + c->general.deadline) * 1000;

	for (size_t i = 0; i < c->set_count; i++) {
		if (job->sets & 1ULL << i)
			ms += SCAN_MS +
				HOOKS * 1000 *
					(c->sets[i].validate_timeout + c->sets[i].reload_timeout);
	}
	return ms;
}

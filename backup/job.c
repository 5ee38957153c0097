/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a volume; see job.h. The caller holds the lock of the state directory. A copy gets its
 * record before it is begun, and a place that is written in place loses the record of what was
 * there before. Old copies go last, and only after a new one that is good.
 */
#include "job.h"

#include "active.h"
#include "catalog.h"
#include "copying.h"
#include "keep.h"
#include "place.h"
#include "schedule.h"
#include "stop.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct job {
	const struct config *config;
	const struct config_volume *volume;
	struct stop *stop;
	const struct job_rules *rules;
	struct report *report;
	struct records records;
	uint64_t now; /* seconds since 1970, when it was begun */
	char target[NAMING_TEXT_MAX];
	unsigned slot;
	uint64_t displaced; /* number of the good one that is written over; 0 = none */
};

static const char *folder_of(const struct job *j)
{
	return j->config->general.state_directory;
}

static int save(void *owner, struct err *err)
{
	struct job *j = owner;

	return catalog_save(folder_of(j), j->volume->name, &j->records, err);
}

static void warn(struct job *j, const struct err *err)
{
	if (err->code && !j->report->warning[0])
		snprintf(j->report->warning, sizeof(j->report->warning), "%s", err->text);
}

/* Ends before there was a copy. */
static void end(struct job *j, enum report_result result, const char *text)
{
	j->report->result = result;
	snprintf(j->report->text, sizeof(j->report->text), "%s", text);
}

static void fail(struct job *j, const struct err *err)
{
	end(j, err->code == ECANCELED ? REPORT_STOPPED : REPORT_FAILED, err->text);
}

/* What a run before has left. */

/* The one at INDEX was being written when it was cut off. True: it is a copy nevertheless. */
static bool settle_one(struct job *j, size_t index)
{
	struct record *one = &j->records.items[index];
	char digest[RECORD_DIGEST_ROOM];

	if (place_complete(one, digest) < 0)
		return false;
	for (size_t i = 0; i < index; i++) {
		if (strcmp(j->records.items[i].target, one->target) == 0 &&
			strcmp(j->records.items[i].digest, digest) == 0)
			return false; /* that one, still there */
	}
	memcpy(one->digest, digest, sizeof(digest));
	one->state = RECORD_GOOD;
	return true;
}

/* Forgets all of TARGET before the one at INDEX, which has taken its place. */
static void supersede(struct records *r, size_t index)
{
	for (size_t i = index; i > 0; i--) {
		if (strcmp(r->items[i - 1].target, r->items[index].target) == 0) {
			records_drop(r, i - 1);
			index--;
		}
	}
}

/* True: there were some. */
static bool settle(struct job *j)
{
	bool ret = false;

	for (size_t i = j->records.count; i > 0; i--) {
		/* Several before the last one looked at may be gone. */
		if (i > j->records.count || j->records.items[i - 1].state != RECORD_WRITING)
			continue;
		ret = true;
		if (settle_one(j, i - 1)) {
			supersede(&j->records, i - 1);
		} else {
			place_clean(j->records.items[i - 1].target);
			records_drop(&j->records, i - 1);
		}
	}
	return ret;
}

/* What was found counts from now on, also if nothing is due. */
static void settle_old(struct job *j)
{
	struct err err = {0};

	if (place_mounted(j->volume, &err) == 0 && settle(j) && save(j, &err) < 0)
		warn(j, &err);
}

/* Before anything. */

static bool is_due(struct job *j)
{
	const struct record *newest = records_newest(&j->records);
	char span[32], text[ERR_TEXT_MAX];
	uint64_t at = newest ? newest->time : 0;

	j->report->last_good = at;
	j->report->missed =
		schedule_missed(j->now, at, schedule_limit(j->volume->every, j->volume->max_age));
	if (j->rules->force || schedule_is_due(j->now, at, j->volume->every))
		return true;
	schedule_span(j->volume->every * SCHEDULE_HOUR, span, sizeof(span));
	snprintf(text, sizeof(text), "not due, as there is to be a copy each %s", span);
	end(j, REPORT_SKIPPED, text);
	return false;
}

static bool may_run(struct job *j)
{
	struct err err = {0};
	int r = active_here(j->config, j->volume, &err);

	if (r < 0) {
		fail(j, &err);
	} else if (r == 0) {
		j->report->missed = 0;
		end(j, REPORT_SKIPPED, ACTIVE_NOT);
	}
	return r > 0;
}

static int find_place(struct job *j, struct err *err)
{
	const struct config_volume *v = j->volume;
	struct keep_policy policy = config_policy(v);
	struct naming_values values = {
		.volume = v->name, .source = naming_source(v->source), .time = j->now};
	int r;

	if (v->naming == NAMING_TURNED) {
		j->slot = keep_next_slot(&j->records, &policy);
		if (j->slot == 0)
			return err_sys(err, ENOMEM, "a place for the copy");
	}
	values.slot = j->slot;
	if (naming_expand(v->target, &values, j->target, err) < 0)
		return -err->code;
	snprintf(j->report->target, sizeof(j->report->target), "%.500s", j->target);
	r = place_mounted(v, err);
	return r < 0 ? r : place_check(v, &j->records, j->target, err);
}

static void plan(struct job *j)
{
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "would be copied from %.200s to %.200s", j->volume->source,
		j->target);
	end(j, REPORT_PLANNED, text);
}

/* The copy. */

/* A file stays what it is until a new one is whole; all else is written over. */
static int announce(struct job *j, struct err *err)
{
	for (size_t i = 0; !j->volume->is_file && i < j->records.count; i++) {
		struct record *one = &j->records.items[i];

		if (strcmp(one->target, j->target) != 0)
			continue;
		if (one->state == RECORD_GOOD)
			j->displaced = one->number;
		one->state = RECORD_BAD;
	}
	j->records.last_try = j->now;
	if (!records_add(&j->records, j->target, j->slot, j->now))
		return err_set(err, ENOMEM, "a record of the copy: no memory, or too many copies");
	return save(j, err);
}

static struct record *record_of(struct job *j)
{
	return &j->records.items[j->records.count - 1];
}

static struct copying copying_of(struct job *j)
{
	return (struct copying){.config = j->config,
		.volume = j->volume,
		.stop = j->stop,
		.records = &j->records,
		.record = j->records.count ? record_of(j) : NULL,
		.now = j->now,
		.hold = j->rules->hold,
		.save = save,
		.owner = j};
}

static int verify(struct copying *c, struct err *err)
{
	int r = copying_verify(c, err);

	if (r == -EBADMSG)
		c->record->state = RECORD_BAD;
	return r;
}

/* Whole, and as it was sent: it counts unless reading it again says otherwise. Another host has
 * done that already. */
static int take_in(struct job *j, struct copying *c, struct err *err)
{
	supersede(&j->records, j->records.count - 1);
	c->record = record_of(j);
	c->record->state = RECORD_GOOD;
	return j->volume->verify && !j->volume->is_far ? verify(c, err) : 0;
}

static int copy(struct job *j, struct err *err)
{
	struct copying c = copying_of(j);
	int r = copying_clean(&c, err);

	if (r == 0)
		r = copying_run(&c, err);
	if (r == 0)
		r = take_in(j, &c, err);
	warn(j, &c.aside);
	return r;
}

/* What was in the place before still is, if it had not come to the first write. */
static void reinstate(struct job *j)
{
	for (size_t i = 0; i < j->records.count; i++) {
		struct record *one = &j->records.items[i];

		if (one->number == j->displaced && place_is_untouched(one))
			one->state = RECORD_GOOD;
	}
}

/* Nothing came of it, or it was whole before it failed. A bad one stays in the records, as its
 * place is to be cleaned or used again. */
static void give_up(struct job *j, const struct err *err)
{
	struct err why = {0};

	settle(j);
	reinstate(j);
	if (err->code != ECANCELED || !j->records.last_error)
		records_set_text(&j->records.last_error, err->text);
	if (save(j, &why) < 0)
		warn(j, &why);
	fail(j, err);
}

/* Old copies. */

/* Somebody has removed them: they are no reason to remove others. */
static void forget_gone(struct job *j)
{
	struct err err;

	for (size_t i = j->records.count; i > 0; i--) {
		if (!place_is_gone(&j->records.items[i - 1]))
			continue;
		if (j->records.items[i - 1].state == RECORD_GOOD) {
			err_set(&err, ENOENT, "%.300s: is gone, and was not removed by us",
				j->records.items[i - 1].target);
			warn(j, &err);
		}
		records_drop(&j->records, i - 1);
	}
}

/* Also what cannot be removed, as it is no more what was recorded, is forgotten. */
static void prune(struct job *j)
{
	const struct keep_policy policy = config_policy(j->volume);
	CLEANUP_FREE bool *keep = NULL;

	forget_gone(j);
	keep = calloc(j->records.count + 1, sizeof(*keep));
	if (!keep)
		return;
	keep_choose(&j->records, &policy, keep);
	for (size_t i = j->records.count; i > 0; i--) {
		struct err err = {0};

		j->report->kept += keep[i - 1];
		if (keep[i - 1] || j->volume->naming != NAMING_TIMED)
			continue;
		if (place_remove(&j->records.items[i - 1], &err) == 0)
			j->report->removed++;
		warn(j, &err);
		if (err.code == 0 || err.code == EPERM)
			records_drop(&j->records, i - 1);
	}
}

static void finish(struct job *j)
{
	struct record *r = record_of(j);
	struct err err = {0};

	j->report->result = REPORT_GOOD;
	j->report->bytes = r->bytes;
	j->report->ms = r->ms;
	j->report->verified = r->verified;
	j->report->last_good = r->time;
	j->report->missed = 0;
	records_set_text(&j->records.last_error, NULL);
	if (save(j, &err) < 0) {
		fail(j, &err);
		return;
	}
	prune(j);
	if (save(j, &err) < 0)
		warn(j, &err);
}

static void make_copy(struct job *j)
{
	struct err err = {0};

	if (announce(j, &err) < 0)
		fail(j, &err);
	else if (copy(j, &err) < 0)
		give_up(j, &err);
	else
		finish(j);
}

void job_run(const struct config *c, const struct config_volume *v, struct stop *stop,
	const struct job_rules *rules, struct report *ret)
{
	struct job j = {.config = c,
		.volume = v,
		.stop = stop,
		.rules = rules,
		.report = ret,
		.now = (uint64_t)time(NULL)};
	struct err err = {0};

	*ret = (struct report){.volume = v->name};
	if (catalog_load(folder_of(&j), v->name, &j.records, &err) < 0) {
		fail(&j, &err);
	} else {
		if (!rules->dry_run)
			settle_old(&j);
		if (!is_due(&j) || !may_run(&j))
			;
		else if (find_place(&j, &err) < 0)
			fail(&j, &err);
		else if (rules->dry_run)
			plan(&j);
		else
			make_copy(&j);
	}
	records_done(&j.records);
}

static int verify_newest(struct job *j, struct err *err)
{
	const struct record *newest = records_newest(&j->records);
	struct copying c = copying_of(j);
	int r;

	if (!newest)
		return err_set(err, ENOENT, "nothing to verify");
	c.record = &j->records.items[newest - j->records.items];
	snprintf(j->report->target, sizeof(j->report->target), "%.500s", newest->target);
	r = verify(&c, err);
	return (r == 0 || r == -EBADMSG) && save(j, err) < 0 ? -err->code : r;
}

void job_verify(const struct config *c, const struct config_volume *v, struct stop *stop,
	const struct job_rules *rules, struct report *ret)
{
	const struct job_rules always = {.force = true, .hold = rules->hold};
	struct job j = {.config = c,
		.volume = v,
		.stop = stop,
		.rules = &always,
		.report = ret,
		.now = (uint64_t)time(NULL)};
	struct err err = {0};

	*ret = (struct report){.volume = v->name};
	if (catalog_load(folder_of(&j), v->name, &j.records, &err) < 0 ||
		verify_newest(&j, &err) < 0)
		fail(&j, &err);
	else
		end(&j, REPORT_GOOD, "");
	is_due(&j);
	records_done(&j.records);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy from its snapshot to its digest; see copying.h. Whatever happens in between, what was
 * frozen is thawed, and a snapshot is removed, or known to the next run: those of LVM by their
 * tags, those of the wrapper by the records.
 */
#include "copying.h"

#include "child.h"
#include "clock.h"
#include "exportsnap.h"
#include "freeze.h"
#include "hook.h"
#include "place.h"
#include "proc.h"
#include "snap_job.h"
#include "spec.h"
#include "stop.h"
#include "util.h"
#include "vg_fill.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 48, RATE_ROOM = 48 };

struct words {
	const char *list[WORDS_MAX + 1];
	size_t count;
	char program[PATH_MAX], rate[RATE_ROOM], job[80], source[SPEC_TEXT_MAX];
};

static void add(struct words *w, const char *word)
{
	if (w->count < WORDS_MAX)
		w->list[w->count++] = word;
}

static void add_two(struct words *w, const char *option, const char *value)
{
	if (!value)
		return;
	add(w, option);
	add(w, value);
}

static void begin(struct words *w, const char *program)
{
	proc_sibling(program, w->program, sizeof(w->program));
	add(w, w->program);
}

/* Of lvm_copy, also behind "--" of lvm_snap_copy. */
static void add_options(struct words *w, const struct copying *c)
{
	const struct config_volume *v = c->volume;

	add(w, "--json");
	add_two(w, "-c", c->config->general.tools_config);
	add_two(w, "-F", c->config->general.ssh_config);
	if (v->compress != CONFIG_NONE)
		add(w, v->compress == CONFIG_GZIP ? "-z" : "-Z");
	if (v->incremental && v->naming != NAMING_TIMED)
		add(w, "-i");
	if (v->verify && v->is_far)
		add(w, "--verify=readback");
	if (v->max_rate) {
		snprintf(w->rate, sizeof(w->rate), "--max-rate=%llu",
			(unsigned long long)v->max_rate);
		add(w, w->rate);
	}
}

/* Results: a JSON object a line, of which the one with a digest is the copy's. */

static void take_line(const char *line, struct record *r)
{
	json_t *object = json_loads(line, 0, NULL);
	const char *digest = json_string_value(json_object_get(object, "digest"));

	if (digest && strlen(digest) == RECORD_DIGEST_ROOM - 1) {
		memcpy(r->digest, digest, RECORD_DIGEST_ROOM);
		r->bytes = (uint64_t)json_integer_value(json_object_get(object, "size"));
		r->stored = (uint64_t)json_integer_value(json_object_get(object, "stored"));
		r->verified = json_is_true(json_object_get(object, "readback"));
	}
	json_decref(object);
}

/* Then lvm_snap_copy itself has told lvm_copy to end. */
static bool has_overflowed(const struct child *child)
{
	CLEANUP_FREE char *text = child_output(child);

	return text && strstr(text, "\"overflowed\":true");
}

/* The words of lvm_copy and lvm_snap_copy when they were told to end, or had no time to say so. */
static bool was_ended(const struct child *child, const struct err *err)
{
	return (child_complained(child, ": error: interrupted") && !has_overflowed(child)) ||
		child_complained(child, "; the copy is given up") ||
		strstr(err->text, "ended by signal 15");
}

/*
 * R as it is, or -ECANCELED: what fails while this node loses its volumes ends the run and is no
 * failure, as an export or a device may vanish then. Not while anything is frozen: it asks which
 * node is active.
 */
static int outside(const struct copying *c, int r, struct err *err)
{
	if (r == 0 || r == -ECANCELED || !hook_is_lost(c->stop))
		return r;
	return err_set(err, ECANCELED, "%s", c->stop->why);
}

/* A cluster agent that needs the volumes ends who uses them: the next copy would only be in its way
 * as well. We have not told them to end. */
static int judge(
	const struct copying *c, const struct child *child, const char *what, struct err *err)
{
	int r = child_judge(child, what, err);

	if (r == 0 || !was_ended(child, err))
		return r;
	stop_now(c->stop, "the copy was ended by somebody else");
	return err_set(err, ECANCELED, "%s", c->stop->why);
}

static int take_result(
	const struct copying *c, const struct child *child, const char *what, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct record *r = c->record;
	char *rest;

	if (judge(c, child, what, err) < 0)
		return -err->code;
	text = child_output(child);
	if (!text)
		return err_sys(err, ENOMEM, "%s", what);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		take_line(line, r);
	return r->digest[0] ? 0 : err_set(err, EPROTO, "%s: it does not say what it did", what);
}

static int run(struct copying *c, struct words *w, const char *what,
	const struct child_rules *rules, struct err *err)
{
	const struct child_input in = {.hold = c->hold};
	struct child child;
	int r;

	w->list[w->count] = NULL;
	child_init(&child);
	r = w->count == WORDS_MAX ? err_sys(err, E2BIG, "%s", what)
				  : child_start(&child, w->list, &in, err);
	if (r == 0)
		r = child_wait(&child, rules, err);
	if (r == 0)
		r = take_result(c, &child, what, err);
	child_done(&child);
	return r;
}

static int copy_plain(struct copying *c, const char *source, bool stable, struct err *err)
{
	const struct child_rules rules = {.stop = c->stop};
	struct words w = {.count = 0};

	begin(&w, "lvm_copy");
	add_two(&w, "-s", source);
	add_two(&w, "-t", c->record->target);
	if (stable)
		add(&w, "--stable");
	add_options(&w, c);
	return run(c, &w, "lvm_copy", &rules, err);
}

/* A volume. */

struct watch {
	struct freeze *freeze;
	const struct config_volume *volume;
	char vg[SPEC_NAME_MAX], snapshot[2 * SPEC_NAME_MAX];
};

/* Thaws as soon as the snapshot is there: what is written from then on is not in it. */
static int look(void *owner, struct err *err)
{
	struct watch *w = owner;
	struct vg_fill fill;
	struct err why;

	if (!freeze_is_on(w->freeze))
		return 0;
	if (freeze_is_late(w->freeze)) {
		freeze_end(w->freeze, err);
		return err_set(err, ETIMEDOUT,
			"freeze: the snapshot was not made within %llu s, and all was thawed",
			(unsigned long long)w->volume->freeze_timeout);
	}
	if (vg_fill_read(w->vg, w->snapshot, &fill, &why) < 0)
		return 0;
	return freeze_end(w->freeze, err);
}

static int copy_frozen(
	struct copying *c, const struct spec *s, struct freeze *freeze, struct err *err)
{
	struct words w = {.count = 0};
	struct watch watch = {.freeze = freeze, .volume = c->volume};
	const struct child_rules rules = {.stop = c->stop, .tick = look, .owner = &watch};

	snprintf(watch.vg, sizeof(watch.vg), "%s", s->vg);
	snprintf(watch.snapshot, sizeof(watch.snapshot), "%s_%s", s->lv, PLACE_MARK);
	snprintf(w.job, sizeof(w.job), "backup-%.50s", c->volume->name);
	spec_print(s, false, w.source);
	begin(&w, "lvm_snap_copy");
	add_two(&w, "-s", w.source);
	add_two(&w, "-t", c->record->target);
	add_two(&w, "--suffix", PLACE_MARK);
	add_two(&w, "--job", w.job);
	add_two(&w, "--why", "backup");
	add_two(&w, "-n", c->volume->snapshot_size);
	add_two(&w, "-c", c->config->general.tools_config);
	add(&w, "--json");
	add(&w, "--");
	add_options(&w, c);
	return run(c, &w, "lvm_snap_copy", &rules, err);
}

/* What may still be frozen is thawed. An error of that is told unless there is another. */
static int thaw(struct copying *c, struct freeze *freeze, int r, struct err *err)
{
	struct err why = {0};

	if (r == -ECANCELED)
		freeze_leave(freeze);
	else if (freeze_end(freeze, &why) < 0 && r == 0)
		return err_set(err, why.code, "%s", why.text);
	return outside(c, r, err);
}

static int copy_volume(struct copying *c, struct err *err)
{
	struct freeze freeze;
	struct spec s;
	int r = spec_parse(&s, c->volume->source, err);

	if (r == 0)
		r = freeze_begin(&freeze, c->volume, c->stop, err);
	return r < 0 ? r : thaw(c, &freeze, copy_frozen(c, &s, &freeze, err), err);
}

/* An export. */

static struct exportsnap exportsnap_of(struct copying *c)
{
	return (struct exportsnap){
		.config = c->config, .volume = c->volume, .records = c->records, .stop = c->stop};
}

static int take_frozen(struct copying *c, struct exportsnap *e, struct err *err)
{
	struct freeze freeze;
	int r = freeze_begin(&freeze, c->volume, c->stop, err);

	return r < 0 ? r : thaw(c, &freeze, exportsnap_take(e, err), err);
}

static void drop(struct copying *c, struct exportsnap *e)
{
	struct err why = {0};

	if (exportsnap_drop(e, &why) < 0 || c->save(c->owner, &why) < 0)
		c->aside = why;
}

static int copy_snapshot(struct copying *c, struct exportsnap *e, struct err *err)
{
	char source[PATH_MAX + 8];
	int r = exportsnap_wait(e, err);

	snprintf(source, sizeof(source), "file:%s", c->records->snapshot);
	if (r == 0)
		r = copy_plain(c, source, true, err);
	return outside(c, r, err);
}

static int copy_export(struct copying *c, struct err *err)
{
	struct exportsnap e = exportsnap_of(c);
	int r = exportsnap_plan(&e, c->now, err);

	if (r == 0)
		r = c->save(c->owner, err);
	if (r < 0)
		return outside(c, r, err);
	r = take_frozen(c, &e, err);
	if (r == 0)
		r = copy_snapshot(c, &e, err);
	drop(c, &e);
	return r;
}

/* All of them. */

int copying_run(struct copying *c, struct err *err)
{
	uint64_t began = clock_ms();
	int r;

	if (c->volume->kind == CONFIG_VOLUME)
		r = copy_volume(c, err);
	else if (c->volume->kind == CONFIG_EXPORT)
		r = copy_export(c, err);
	else
		r = outside(c, copy_plain(c, c->volume->source, false, err), err);
	c->record->ms = clock_ms() - began;
	return r;
}

/* What cannot be reached at the moment is not damaged. */
static int take_verdict(const struct copying *c, const struct child *child, struct err *err)
{
	CLEANUP_FREE char *text = child_output(child);
	json_t *top = text ? json_loads(text, 0, NULL) : NULL;
	int r = judge(c, child, "verification", err);

	if (r == -EREMOTEIO && json_is_true(json_object_get(top, "damaged")))
		r = -EBADMSG;
	json_decref(top);
	return r;
}

int copying_verify(struct copying *c, struct err *err)
{
	const struct child_rules rules = {.stop = c->stop};
	struct words w = {.count = 0};
	struct child child;
	int r;

	begin(&w, "lvm_copy");
	add_two(&w, "--verify", c->record->target);
	add_two(&w, "-F", c->config->general.ssh_config);
	add(&w, "--json");
	child_init(&child);
	r = child_start(&child, w.list, NULL, err);
	if (r == 0)
		r = child_wait(&child, &rules, err);
	if (r == 0)
		r = take_verdict(c, &child, err);
	child_done(&child);
	r = outside(c, r, err);
	if (r == 0 || r == -EBADMSG)
		c->record->verified = r == 0;
	return r;
}

int copying_clean(struct copying *c, struct err *err)
{
	struct exportsnap e = exportsnap_of(c);
	struct spec s;

	/* lvm_snap_copy does it as well; but what is there before it runs must not be taken for
	 * its snapshot. */
	if (c->volume->kind == CONFIG_VOLUME && c->volume->freeze)
		return spec_parse(&s, c->volume->source, err) < 0
			? -EINVAL
			: snap_clean(s.vg, false, false, err);
	if (!c->records->snapshot)
		return 0;
	return exportsnap_drop(&e, err) < 0 ? -err->code : c->save(c->owner, err);
}

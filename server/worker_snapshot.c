/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots of a worker: fixing the point in time, and what becomes of them.
 *
 *	snapshot [to]        answered when the point is fixed
 *	snapshot-drop id
 *
 * The point: gates of all lanes close; when nothing that modifies is under way any more, the image
 * is cloned, or, if that cannot be done, lanes are told to save blocks before they overwrite them;
 * gates open. Requests that do not finish in POINT_MS (a disk that hangs) make it fail instead of
 * holding up everybody. Before that the disk has SETTLE_MS to take what is in memory, and nobody is
 * held up. All in the main thread but for what is marked.
 */
#include "log.h"
#include "snapshot.h"
#include "util.h"
#include "worker_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SETTLE_MS = 30 * 1000, POINT_MS = 3000 };

/* Knowing them. */

static json_int_t size_of(const struct snapshot *s)
{
	return (json_int_t)s->layer.storage.facts.size;
}

static void tell(struct snapshot *s, const char *state)
{
	worker_tell(s->worker,
		json_pack("{s:s, s:I, s:s, s:I, s:s, s:s}", "event", "snapshot", "id",
			(json_int_t)s->id, "path", s->path, "size", size_of(s), "state", state,
			"error", s->error ? strerror(s->error) : ""));
}

static json_t *describe(struct snapshot *s)
{
	return json_pack("{s:I, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:i}", "id", (json_int_t)s->id,
		"path", s->path, "size", size_of(s), "state", snapshot_state_name(s->state),
		"blocks", (json_int_t)s->layer.map.blocks, "saved", (json_int_t)s->layer.map.count,
		"method", s->clones ? "reflink" : "copy", "error",
		s->error ? strerror(s->error) : "", "clients", (int)s->users);
}

json_t *worker_snapshots(struct worker *w)
{
	json_t *all = json_array();

	for (struct snapshot *s = w->snapshots; s; s = s->next) {
		if (s->listed)
			json_array_append_new(all, describe(s));
	}
	return all;
}

bool worker_is_saving(struct worker *w)
{
	if (w->making_snapshot)
		return true;
	for (struct snapshot *s = w->snapshots; s; s = s->next) {
		if (s->state == SNAPSHOT_COPYING || s->saving)
			return true;
	}
	return false;
}

/* May clients ask for it? */
static bool is_offered(const struct snapshot *s)
{
	return s->name && s->listed && !s->dropped && s->state != SNAPSHOT_FAILED;
}

struct snapshot *worker_find_snapshot(struct worker *w, uint64_t id)
{
	struct snapshot *found = NULL;

	for (struct snapshot *s = w->snapshots; s; s = s->next) {
		if (is_offered(s) && (id ? s->id == id : !found || s->id > found->id))
			found = s;
	}
	return found;
}

struct snapshot *worker_snapshot_at(struct worker *w, size_t index)
{
	struct snapshot *s = w->snapshots;

	while (s && (!is_offered(s) || index-- > 0))
		s = s->next;
	return s;
}

/* Ending one: when lanes do not save for it any more, no thread is at it and nobody reads it. */

static void unlink_snapshot(struct snapshot *s)
{
	struct snapshot **p = &s->worker->snapshots;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
}

static int run_free(struct errand *e)
{
	snapshot_free(e->subject);
	return 0;
}

static void free_if_unused(struct snapshot *s)
{
	struct worker *w = s->worker;

	if (!s->dropped || s->saving || s->busy || s->users > 0)
		return;
	unlink_snapshot(s);
	errand_start(w, NULL, NULL, "snapshot-drop", s, run_free, NULL);
}

void worker_leave_snapshot(struct snapshot *s)
{
	s->users--;
	free_if_unused(s);
}

static void forget_layer(struct lane *l, const struct layer *layer)
{
	for (unsigned i = 0; i < l->snapshot_count; i++) {
		if (l->snapshots[i] == layer)
			l->snapshots[i] = l->snapshots[--l->snapshot_count];
	}
}

static void stop_saving_step(struct round_step *step)
{
	struct snapshot *s = container_of(step->round, struct snapshot, round);

	forget_layer(step->lane, &s->layer);
	round_step_done(step);
}

static void saving_stopped(struct round *r)
{
	struct snapshot *s = container_of(r, struct snapshot, round);

	s->saving = false;
	free_if_unused(s);
}

static void stop_saving(struct snapshot *s)
{
	struct worker *w = s->worker;

	if (s->saving && !s->leaving)
		round_start(&s->round, &w->reactor, w->lanes, w->lanes_ready, stop_saving_step,
			saving_stopped);
	s->leaving = true;
}

/* The copy is over: in its thread, then here. */

static void copy_over(struct reactor_task *t)
{
	struct snapshot *s = container_of(t, struct snapshot, news);

	stop_saving(s);
	if (s->state != SNAPSHOT_COPYING)
		return;
	s->state = s->result < 0 ? SNAPSHOT_FAILED : SNAPSHOT_COMPLETE;
	if (!s->listed) /* being dropped */
		return;
	s->error = -s->result;
	if (s->error)
		log_error("%s: the snapshot is lost: %s; the export goes on", s->path,
			strerror(s->error));
	else
		log_info("%s: the snapshot is complete", s->path);
	tell(s, snapshot_state_name(s->state));
}

static void copied(void *owner, int result)
{
	struct snapshot *s = owner;

	s->result = snapshot_finish(s, result);
	reactor_post(&s->worker->reactor, &s->news);
}

/* In its thread. It would try again for ever after a failure (no room): that is for proxies. */
static void copy_changed(void *owner)
{
	struct snapshot *s = owner;
	struct copier_progress p;

	copier_progress(&s->copier, &p);
	if (p.code)
		layer_break(&s->layer, p.code);
}

static int below(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	struct snapshot *s = owner;

	return s->live->ops->extents(s->live, offset, length, out, max);
}

static const struct copier_ops copies = {
	.below = below, .complete = copied, .changed = copy_changed};

/* The point. */

static void answer(struct snapshot *s, int result)
{
	struct errand *e = s->errand;

	s->errand = NULL;
	if (result == 0)
		json_object_update_new(e->answer,
			json_pack("{s:I, s:s, s:I, s:s}", "id", (json_int_t)s->id, "path", s->path,
				"size", size_of(s), "method", s->clones ? "reflink" : "copy"));
	errand_answer(e, result);
}

static void give_up(struct snapshot *s, int error, const char *text)
{
	err_set(&s->errand->err, error, "snapshot: %s", text);
	s->dropped = true;
	answer(s, -error);
	free_if_unused(s);
}

static int run_finish(struct errand *e)
{
	struct snapshot *s = e->subject;

	s->result = snapshot_finish(s, 0);
	return 0;
}

static void finished(struct errand *e, int result)
{
	struct snapshot *s = e->subject;

	s->busy = false;
	copy_over(&s->news);
	free_if_unused(s);
	errand_answer(e, result);
}

/* Gates are open again. */
static void point_fixed(struct quiet *q)
{
	struct snapshot *s = container_of(q, struct snapshot, quiet);
	struct worker *w = s->worker;
	int ret = 0;

	w->pointing = NULL;
	if (q->too_late) {
		give_up(s, ETIMEDOUT, "requests under way do not finish");
		return;
	}
	s->listed = true;
	log_info("%s: snapshot of %s, by %s", s->path, w->config.image,
		s->clones ? "reflink" : "copying");
	tell(s, snapshot_state_name(SNAPSHOT_COPYING));
	s->busy = s->whole;
	if (s->whole)
		errand_start(w, NULL, NULL, "snapshot", s, run_finish, finished);
	else
		ret = snapshot_copy(s, &copies);
	if (ret < 0)
		copied(s, ret);
	answer(s, 0);
}

static void save_from_now(struct quiet *q, struct lane *l)
{
	struct snapshot *s = container_of(q, struct snapshot, quiet);

	if (s->saving)
		l->snapshots[l->snapshot_count++] = &s->layer;
}

static int run_clone(struct errand *e)
{
	return snapshot_clone(e->subject);
}

static void cloned(struct errand *e, int result)
{
	struct snapshot *s = e->subject;

	s->saving = result < 0; /* then it must be copied */
	quiet_end(&s->quiet, save_from_now, point_fixed);
	errand_answer(e, 0);
}

static void point_reached(struct quiet *q)
{
	struct snapshot *s = container_of(q, struct snapshot, quiet);

	if (q->too_late)
		quiet_end(q, NULL, point_fixed);
	else
		errand_start(s->worker, NULL, NULL, "snapshot", s, run_clone, cloned);
}

static void begin_point(struct snapshot *s)
{
	struct worker *w = s->worker;

	quiet_begin(&s->quiet, &w->reactor, w->lanes, w->lanes_ready, POINT_MS, point_reached);
}

/* Before it. A thread that hangs keeps the snapshot, so there is never more than one of these. */

static int run_settle(struct errand *e)
{
	snapshot_settle(e->subject);
	return 0;
}

static void settled(struct errand *e, int result)
{
	struct snapshot *s = e->subject;

	s->busy = false;
	reactor_timer_cancel(&s->worker->reactor, &s->deadline);
	if (s->too_late) {
		s->worker->pointing = NULL;
		free_if_unused(s);
	} else {
		begin_point(s);
	}
	errand_answer(e, result);
}

static void never_settled(struct reactor_timer *t)
{
	struct snapshot *s = container_of(t, struct snapshot, deadline);

	s->too_late = true;
	give_up(s, ETIMEDOUT, "the disk takes too long to write what is in memory");
}

static void settle(struct snapshot *s)
{
	struct worker *w = s->worker;

	s->busy = true;
	s->deadline.fn = never_settled;
	reactor_timer_set(&w->reactor, &s->deadline, SETTLE_MS);
	errand_start(w, NULL, NULL, "snapshot", s, run_settle, settled);
}

/* Commands. */

static void undo_new(struct errand *e)
{
	snapshot_free(e->subject);
}

/* Later ones have higher ids, also if the clock is set back. */
static uint64_t next_id(const struct worker *w, json_t *msg)
{
	json_int_t after = json_integer_value(json_object_get(msg, "after"));
	uint64_t last = MAX_OF(w->last_snapshot, after > 0 ? (uint64_t)after : 0);

	return MAX_OF((uint64_t)time(NULL), last + 1);
}

static int run_new(struct errand *e)
{
	const char *to = json_string_value(json_object_get(e->msg, "to"));
	struct worker *w = e->worker;
	uint64_t id = next_id(w, e->msg);

	e->subject = snapshot_new(w->storage, w->config.image, to, &id, &e->err);
	w->last_snapshot = MAX_OF(w->last_snapshot, id);
	e->undo = undo_new;
	return e->subject ? 0 : -e->err.code;
}

static void made(struct errand *e, int result)
{
	struct worker *w = e->worker;
	struct snapshot *s = e->subject;

	w->making_snapshot = false;
	e->undo = NULL;
	if (result < 0) {
		errand_answer(e, result);
		return;
	}
	s->worker = w;
	if (asprintf(&s->name, "%s@%llu", w->config.export_name, (unsigned long long)s->id) < 0)
		s->name = NULL;
	s->news.fn = copy_over;
	s->errand = e;
	s->next = w->snapshots;
	w->snapshots = s;
	w->pointing = s;
	settle(s);
}

static const char *cannot_begin(const struct worker *w)
{
	const char *mode = storage_mode(w->storage);
	unsigned saving = 0, all = 0;

	for (const struct snapshot *s = w->snapshots; s; s = s->next, all++)
		saving += s->saving;
	if (strcmp(mode, "target") != 0)
		return "snapshot: only of a target; a proxy must be complete and switched";
	if (w->state != WORKER_RUNS)
		return "snapshot: the server is shutting down";
	if (w->resize)
		return "snapshot: the export is just being resized; try again";
	if (w->making_snapshot || w->pointing)
		return "snapshot: another one is just being taken; try again";
	if (saving >= LANE_SNAPSHOTS_MAX || all >= SNAPSHOTS_MAX)
		return "snapshot: too many; drop some, or wait until they are complete";
	return NULL;
}

/* C = NULL: a signal. */
static void begin(struct worker *w, struct ctl_conn *c, json_t *msg)
{
	const char *why = cannot_begin(w);

	if (why && c)
		ctl_send_error(c, why);
	else if (why)
		log_warn("%s: %s", w->config.image, why);
	if (why)
		return;
	w->making_snapshot = true;
	errand_start(w, c, msg, "snapshot", NULL, run_new, made);
}

static void do_snapshot(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *to = json_string_value(json_object_get(msg, "to"));

	fd_close(&fd);
	if (to && to[0] != '/')
		ctl_send_error(c, "snapshot: \"to\" must be an absolute path");
	else
		begin(w, c, msg);
}

void worker_snapshot(struct worker *w)
{
	begin(w, NULL, NULL);
}

static int run_stop(struct errand *e)
{
	snapshot_stop(e->subject);
	return 0;
}

static void stopped(struct errand *e, int result)
{
	struct snapshot *s = e->subject;

	tell(s, "dropped");
	s->dropped = true;
	stop_saving(s);
	free_if_unused(s);
	errand_answer(e, result);
}

static void do_drop(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	json_int_t id = json_integer_value(json_object_get(msg, "id"));
	struct snapshot *s = w->snapshots;

	fd_close(&fd);
	while (s && (s->id != (uint64_t)id || !s->listed || s->dropped))
		s = s->next;
	if (!s) {
		ctl_send_error(c, "snapshot-drop: no such snapshot");
		return;
	}
	s->listed = false;
	errand_start(w, c, msg, "snapshot-drop", s, run_stop, stopped);
}

const struct worker_command worker_snapshot_commands[] = {
	{"snapshot", do_snapshot},
	{"snapshot-drop", do_drop},
	{NULL, NULL},
};

void worker_end_snapshots(struct worker *w)
{
	while (w->snapshots) {
		struct snapshot *s = w->snapshots;
		bool partial = s->has_partial;

		w->snapshots = s->next;
		snapshot_stop(s);
		if (partial && (s->has_partial || s->result < 0))
			log_warn("%s: the snapshot was not complete, and is dropped", s->path);
		snapshot_free(s);
	}
}

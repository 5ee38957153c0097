/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export in a new size, while it is served.
 *
 *	resize [force] [look]    looks at the image or device anew; answers old, size, ended
 *
 * Who comes gets the new size; who was told another one leaves between requests (conn_leave()) and
 * comes again. For an image that has become shorter there is first a moment without writes: one
 * under way could make it longer again, and each has either happened before the look, or is told
 * that it is beyond the end. All in the main thread but for what is marked.
 */
#include "log.h"
#include "proxy.h"
#include "quiet.h"
#include "util.h"
#include "worker_inner.h"

#include <errno.h>
#include <string.h>

enum { QUIET_MS = 3000 };

struct resize {
	struct worker *worker;
	struct errand *errand;
	uint64_t old, size;
	struct quiet quiet;
	struct round round;
	_Atomic unsigned ended; /* clients */
};

static void finish(struct resize *r, int result)
{
	struct errand *e = r->errand;

	if (result == 0)
		json_object_update_new(e->answer,
			json_pack("{s:I, s:I, s:i}", "old", (json_int_t)r->old, "size",
				(json_int_t)r->size, "ended", (int)r->ended));
	r->worker->resize = NULL;
	free(r);
	errand_answer(e, result);
}

static int refuse(struct resize *r, int error, const char *text)
{
	return err_set(&r->errand->err, error,
		"resize: %.200s has %llu bytes now, and had %llu: %s", r->worker->config.image,
		(unsigned long long)r->size, (unsigned long long)r->old, text);
}

/* From here on it has its new size for all who come. */
static void take_size(struct resize *r)
{
	struct worker *w = r->worker;
	struct export_facts *f = &w->storage->facts;

	w->storage->ops->resize(w->storage, r->size);
	f->size = r->size;
	worker_tell(w,
		json_pack("{s:s, s:I, s:I, s:i, s:i, s:i, s:i}", "event", "resized", "old",
			(json_int_t)r->old, "size", (json_int_t)f->size, "flags", f->flags,
			"block_min", (int)f->block_min, "block_preferred", (int)f->block_preferred,
			"block_max", (int)f->block_max));
	log_info("%s: resized from %llu to %llu bytes", w->config.image, (unsigned long long)r->old,
		(unsigned long long)r->size);
}

/* In the lane's thread. */
static void resize_lane(struct resize *r, struct lane *l)
{
	for (struct conn *c = l->conns; c; c = c->next) {
		if (c->storage == l->storage && conn_resize(c, r->size))
			r->ended++;
	}
}

static void resize_step(struct round_step *s)
{
	resize_lane(container_of(s->round, struct resize, round), s->lane);
	round_step_done(s);
}

static void all_resized(struct round *round)
{
	finish(container_of(round, struct resize, round), 0);
}

/* Shorter. */

static void resize_quiet_lane(struct quiet *q, struct lane *l)
{
	resize_lane(container_of(q, struct resize, quiet), l);
}

static void goes_on(struct quiet *q)
{
	struct resize *r = container_of(q, struct resize, quiet);

	finish(r, -r->errand->err.code);
}

/* A write may have made it longer again. */
static int check_again(struct resize *r, int result)
{
	struct err *err = &r->errand->err;

	if (result < 0)
		return err_sys(err, -result, "%s: size", r->worker->config.image);
	r->size = round_down(r->size, r->worker->storage->facts.block_min);
	return r->size == 0 ? refuse(r, EINVAL, "an export cannot be empty") : 0;
}

static void looked_again(struct errand *e, int result)
{
	struct resize *r = e->subject;

	if (check_again(r, result) < 0) {
		quiet_end(&r->quiet, NULL, goes_on);
		return;
	}
	if (r->size != r->old)
		take_size(r);
	quiet_end(&r->quiet, resize_quiet_lane, goes_on);
}

/* In a thread. */
static int look(struct errand *e)
{
	struct resize *r = e->subject;
	struct storage *st = r->worker->storage;

	return st->ops->look(st, &r->size);
}

static void is_quiet(struct quiet *q)
{
	struct resize *r = container_of(q, struct resize, quiet);

	if (!q->too_late) {
		errand_run(r->errand, look, looked_again);
		return;
	}
	refuse(r, ETIMEDOUT, "requests under way do not finish; nothing was changed");
	quiet_end(q, NULL, goes_on);
}

/* Longer. */

static void grow(struct resize *r)
{
	struct worker *w = r->worker;

	take_size(r);
	round_start(&r->round, &w->reactor, w->lanes, w->lanes_ready, resize_step, all_resized);
}

static void looked(struct errand *e, int result)
{
	struct resize *r = e->subject;
	struct worker *w = r->worker;

	if (result == 0)
		result = check_again(r, 0);
	if (result == 0 && json_is_true(json_object_get(e->msg, "look"))) {
		finish(r, 0);
		return;
	}
	if (result == 0 && r->size < r->old && !json_is_true(json_object_get(e->msg, "force")))
		result = refuse(
			r, EBUSY, "clients may have data there; with force they get the new size");
	if (result < 0 || r->size == r->old)
		finish(r, result);
	else if (r->size > r->old)
		grow(r);
	else
		quiet_begin(&r->quiet, &w->reactor, w->lanes, w->lanes_ready, QUIET_MS, is_quiet);
}

static const char *cannot_begin(struct worker *w)
{
	if (w->state != WORKER_RUNS)
		return "resize: the server is shutting down";
	if (w->resize)
		return "resize: another one is under way; try again";
	if (proxy_of(w->storage))
		return strcmp(storage_mode(w->storage), "target") == 0
			? "resize: this target was a proxy; start the server again with --target"
			: "resize: a proxy keeps the size of its origin; give it a new cache for another";
	if (!w->storage->ops->look)
		return "resize: a copy-on-write target keeps the size of its base; start the server again (a named overlay cannot change)";
	if (worker_is_saving(w))
		return "resize: a snapshot is being copied; wait until it is complete, or drop it (snapshot-drop)";
	return NULL;
}

static void do_resize(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *why = cannot_begin(w);
	struct resize *r = why ? NULL : calloc(1, sizeof(*r));

	fd_close(&fd);
	if (r)
		r->errand = errand_new(w, c, msg, "resize", r);
	if (!r || !r->errand) {
		free(r);
		if (!r)
			ctl_send_error(c, why ? why : "out of memory");
		return;
	}
	r->worker = w;
	r->old = w->storage->facts.size;
	w->resize = r;
	errand_run(r->errand, look, looked);
}

const struct worker_command worker_resize_commands[] = {
	{"resize", do_resize},
	{NULL, NULL},
};

void worker_end_resize(struct worker *w)
{
	free(w->resize);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See reload.h. Reading and asking are here, and the answer; what is done to the exports is in
 * reload_apply.c. The table may change while servers are asked, so the plan is made after that.
 */
#include "reload_inner.h"

#include "await.h"
#include "control.h"
#include "drain.h"
#include "log.h"
#include "relay.h"
#include "resize.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/* The end. */

static void release(struct reload *r)
{
	struct master *m = r->master;

	m->reload = NULL;
	reactor_timer_cancel(&m->reactor, &r->begin);
	for (size_t i = 0; i < r->look_count; i++) {
		if (r->looks[i].relay)
			relay_cancel(r->looks[i].relay);
	}
	plan_done(&r->plan);
	if (r->fresh)
		settings_done(r->fresh);
	free(r->fresh);
	free(r->looks);
	json_decref(r->problems);
	free(r);
}

static void again(struct master *m)
{
	const struct reload_wish wish = {.way = PLAN_REFUSE};
	bool wanted = m->reload_again;

	m->reload_again = false;
	if (wanted && !m->ending)
		reload_start(m, NULL, &wish);
}

/* REPLY is taken. What ends is waited for, if A is given. */
static void finish(struct reload *r, struct await *a, json_t *reply)
{
	struct master *m = r->master;
	struct ctl_conn *c = r->conn;
	bool told = !r->wish.dry_run;

	release(r);
	if (a) {
		await_answer(a, c, reply);
	} else if (c) {
		ctl_send(c, reply, -1);
		ctl_resume(c);
	} else {
		json_decref(reply);
	}
	if (told && !m->ending)
		service_ready(m);
	again(m);
}

static json_t *answer_of(const struct reload *r)
{
	json_t *reply = ctl_ok();

	json_object_update_new(reply, plan_describe(&r->plan, r->wish.way));
	json_object_set_new(reply, "dry_run", json_boolean(r->wish.dry_run));
	return reply;
}

/* Faults of the file. */

static json_t *faults_of(const struct conf *files)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < files->fault_count; i++)
		json_array_append_new(lines, control_text(files->faults[i]));
	return lines;
}

static void refuse_faults(struct ctl_conn *c, const struct conf *files)
{
	json_t *reply = json_pack("{s:b, s:o, s:o}", "ok", 0, "error",
		control_text(files->fault_count ? files->faults[0] : "out of memory"), "faults",
		faults_of(files));

	for (size_t i = 0; !c && i < files->fault_count; i++)
		log_error("%s", files->faults[i]);
	if (!c)
		log_error("not reloaded: the configuration has faults, and nothing was changed");
	if (c)
		ctl_send(c, reply, -1);
	else
		json_decref(reply);
}

/* Deciding. */

static const struct reload_look *find_look(const struct reload *r, uint32_t id)
{
	for (size_t i = 0; i < r->look_count; i++) {
		if (r->looks[i].export_id == id)
			return &r->looks[i];
	}
	return NULL;
}

static void look_at_use(struct reload *r)
{
	static const struct reload_look none;

	for (size_t i = 0; i < r->plan.count; i++) {
		struct plan_row *row = &r->plan.rows[i];
		const struct reload_look *l = find_look(r, row->id);

		if (!row->id)
			continue;
		l = l ? l : &none;
		plan_set_use(row, drain_clients(r->master, row->id), l->old_size, l->size);
	}
}

static int make_plan(struct reload *r, struct err *err)
{
	struct master *m = r->master;
	const struct plan_side before = {m->options, &m->settings->config};
	const struct plan_side after = {&r->fresh->options, &r->fresh->config};

	if (plan_make(&m->exports, &before, &after, &r->plan) < 0)
		return err_set(err, ENOMEM, "out of memory");
	look_at_use(r);
	return plan_check(&r->plan, r->wish.way, err);
}

static void refuse(struct reload *r, const struct err *err)
{
	json_t *reply = answer_of(r);

	if (!r->conn && !r->wish.dry_run)
		log_error("not reloaded: %s", err->text);
	if (!r->wish.dry_run)
		json_object_set_new(reply, "ok", json_false());
	json_object_set_new(reply, r->wish.dry_run ? "refusal" : "error", control_text(err->text));
	finish(r, NULL, reply);
}

static void log_one(void *arg, const char *line)
{
	(void)arg;
	log_info("reload: %s", line);
}

static void log_plan(const struct reload *r)
{
	plan_each_line(&r->plan, r->wish.way, log_one, NULL);
	log_info("reload: %zu exports unchanged", plan_count(&r->plan, PLAN_UNCHANGED));
}

/* Those that were told to take a new size have done so, or have not. */
void reload_done(struct reload *r)
{
	json_t *reply = answer_of(r);
	struct await *a = r->await;

	if (json_array_size(r->problems) > 0)
		json_object_set(reply, "problems", r->problems);
	r->await = NULL;
	finish(r, a, reply);
}

static void decide(struct reload *r)
{
	struct err err = {0};
	int ret = r->master->ending ? err_set(&err, ESHUTDOWN, "the wrapper is shutting down")
				    : make_plan(r, &err);

	if (ret < 0) {
		refuse(r, &err);
	} else if (r->wish.dry_run) {
		finish(r, NULL, answer_of(r));
	} else {
		log_plan(r);
		reload_apply(r);
	}
}

/* Asking. */

static void looked(void *arg, json_t *answer, const struct err *err)
{
	struct reload_look *l = arg;
	struct reload *r = l->reload;

	(void)err;
	l->relay = NULL;
	if (json_is_true(json_object_get(answer, "ok"))) {
		l->old_size = (uint64_t)json_integer_value(json_object_get(answer, "old"));
		l->size = (uint64_t)json_integer_value(json_object_get(answer, "size"));
	}
	if (--r->waiting == 0)
		decide(r);
}

static bool is_asked(const struct master *m, const struct worker *w)
{
	const struct export_entry *e = exports_by_id(&m->exports, w->export_id);

	return w->state == WORKER_READY && e && !resize_refusal(m, e);
}

static void ask(struct reload *r, const struct worker *w)
{
	struct reload_look *l = &r->looks[r->look_count++];

	*l = (struct reload_look){.reload = r, .export_id = w->export_id};
	l->relay = relay_start(
		r->master, w->export_id, resize_request(true, false), RESIZE_LOOK_MS, looked, l);
	r->waiting += l->relay != NULL;
}

static void ask_all(struct reload *r)
{
	const struct master *m = r->master;
	size_t n = 0;

	for (const struct worker *w = m->workers; w; w = w->next)
		n++;
	r->looks = calloc(n + 1, sizeof(*r->looks));
	for (const struct worker *w = m->workers; r->looks && w; w = w->next) {
		if (is_asked(m, w))
			ask(r, w);
	}
}

/* Not from inside the request. */
static void begin(struct reactor_timer *t)
{
	struct reload *r = container_of(t, struct reload, begin);

	ask_all(r);
	if (!r->waiting)
		decide(r);
}

/* The beginning. */

static void say_no(struct ctl_conn *c, const char *text)
{
	if (c)
		ctl_send_error(c, text);
	else
		log_error("not reloaded: %s", text);
}

/* NULL: told. */
static struct settings *read_file(struct master *m, struct ctl_conn *c)
{
	struct settings *fresh = calloc(1, sizeof(*fresh));
	struct conf files = {0};
	struct err err;

	if (fresh && settings_reread(m->settings, fresh, &files, &err) == 0) {
		conf_done(&files);
		return fresh;
	}
	refuse_faults(c, &files);
	conf_done(&files);
	if (fresh)
		settings_done(fresh);
	free(fresh);
	return NULL;
}

/* False: told. */
static bool start(struct master *m, struct ctl_conn *c, const struct reload_wish *wish)
{
	struct settings *fresh = read_file(m, c);
	struct reload *r = fresh ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		if (fresh) {
			settings_done(fresh);
			say_no(c, "out of memory");
		}
		free(fresh);
		return false;
	}
	*r = (struct reload){.master = m, .conn = c, .wish = *wish, .fresh = fresh};
	r->problems = json_array();
	r->begin.fn = begin;
	m->reload = r;
	if (c)
		ctl_pause(c);
	reactor_timer_set(&m->reactor, &r->begin, 0);
	return true;
}

void reload_start(struct master *m, struct ctl_conn *c, const struct reload_wish *wish)
{
	if (m->reload && c) {
		say_no(c, "a reload is under way; try again when it has ended");
		return;
	}
	if (m->reload) {
		m->reload_again = true;
		return;
	}
	if (!wish->dry_run)
		service_reloading(m);
	if (!m->options->config && c)
		say_no(c, "the wrapper was started without --config, so there is no file to read");
	else if (m->options->config && start(m, c, wish))
		return;
	if (!wish->dry_run)
		service_ready(m);
}

void reload_gone(struct master *m, struct ctl_conn *c)
{
	if (m->reload && m->reload->conn == c)
		m->reload->conn = NULL;
}

void reload_end(struct master *m)
{
	if (m->reload)
		release(m->reload);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One state machine a migration, driven by a timer: each turn asks the server one thing and acts on
 * the answer; events only make the next turn come sooner. The copy itself is kept going by proxy.c.
 * The entry's json says in which phase to go on; what is shown of the progress is in memory only.
 * Migrations live until their export is removed, so that the last word can be read.
 */
#include "migrate.h"

#include "log.h"
#include "master.h"
#include "migrate_store.h"
#include "proc.h"
#include "proxy.h"
#include "relay.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TURN_MS = 2000, SOON_MS = 50, TURN_MAX_MS = 60 * 1000 };

struct migration {
	struct master *master;
	struct migration *next;
	uint32_t export_id;
	enum migrate_phase phase;
	struct reactor_timer turn;
	struct relay *relay; /* NULL: nothing is being asked */
	unsigned failures;   /* in a row */
	struct migrate_progress progress;
};

static void take_turn(struct reactor_timer *t);

static struct migration *find(const struct master *m, uint32_t export_id)
{
	for (struct migration *g = m->migrations; g; g = g->next) {
		if (g->export_id == export_id)
			return g;
	}
	return NULL;
}

static struct export_entry *entry_of(const struct migration *g)
{
	return exports_by_id(&g->master->exports, g->export_id);
}

static bool is_over(enum migrate_phase phase)
{
	return phase == MIGRATE_DONE || phase == MIGRATE_FAILED || phase == MIGRATE_ABORTED;
}

static bool is_copying(enum migrate_phase phase)
{
	return phase <= MIGRATE_WAITING;
}

static void next_turn(struct migration *g, uint64_t ms)
{
	reactor_timer_set(&g->master->reactor, &g->turn, ms);
}

static void note(struct migration *g, const char *error)
{
	snprintf(g->progress.error, sizeof(g->progress.error), "%s", error ? error : "");
}

/* Saved when it matters after a restart: not each time the origin comes and goes. */
static void enter(struct migration *g, enum migrate_phase phase, const char *error)
{
	struct export_entry *e = entry_of(g);
	bool matters = !is_copying(phase) || !is_copying(g->phase);

	note(g, error);
	if (phase != g->phase)
		log_export(LOG_LEVEL_INFO, e->config.name, "migration: %s%s%s",
			migrate_phase_name(phase), error && *error ? ": " : "", error ? error : "");
	g->phase = phase;
	if (matters)
		migrate_store(g->master, e, phase, error);
}

/* The end. */

/* Standard input is nobody's; what the hook prints comes into our log, if that is on stderr. */
static void run_hook(struct migration *g, const char *word)
{
	struct export_entry *e = entry_of(g);
	const char *hook = json_string_value(json_object_get(e->migration, "hook"));
	const char *argv[] = {
		"/bin/sh", "-c", "exec \"$0\" \"$@\" </dev/null", hook, e->config.name, word, NULL};
	pid_t pid = hook ? proc_spawn((char *const *)(uintptr_t)argv, NULL, 0, false) : 0;

	if (pid < 0)
		log_export(LOG_LEVEL_ERROR, e->config.name, "migration: hook %s: %s", hook,
			strerror(-pid));
	else if (hook)
		log_export(LOG_LEVEL_INFO, e->config.name, "migration: hook %s %s %s (pid %d)",
			hook, e->config.name, word, (int)pid);
	migrate_store_hook_ran(g->master, e);
}

static void finish(struct migration *g, enum migrate_phase phase, const char *error)
{
	reactor_timer_cancel(&g->master->reactor, &g->turn);
	enter(g, phase, error);
	run_hook(g, phase == MIGRATE_DONE ? "done" : "failed");
}

/* Asking. */

static void ask_again_later(struct migration *g, const char *error)
{
	uint64_t wait = (uint64_t)TURN_MS << MIN_OF(g->failures, 5U);

	g->failures++;
	note(g, error);
	next_turn(g, MIN_OF(wait, (uint64_t)TURN_MAX_MS));
}

static void ask(struct migration *g, const char *command, unsigned timeout_ms, relay_fn *fn)
{
	g->relay = relay_start(
		g->master, g->export_id, json_pack("{s:s}", "cmd", command), timeout_ms, fn, g);
	if (!g->relay && !g->master->ending)
		ask_again_later(g, "the export's server could not be started");
}

static bool has_failed(struct migration *g, json_t *answer, const struct err *err)
{
	g->relay = NULL;
	if (json_is_true(json_object_get(answer, "ok"))) {
		g->failures = 0;
		return false;
	}
	if (!g->master->ending)
		ask_again_later(g, relay_error(answer, err));
	return true;
}

static bool wants_verify(const struct migration *g)
{
	return json_is_true(json_object_get(entry_of(g)->migration, "verify"));
}

/* note() must not copy a text onto itself. */
static void show(struct migration *g, enum migrate_phase phase)
{
	char error[sizeof(g->progress.error)];

	memcpy(error, g->progress.error, sizeof(error));
	enter(g, phase, error);
}

/* proxy.c takes the copy for complete, so it starts no server for it. */
static bool is_left_alone(const struct migration *g)
{
	return entry_of(g)->copy == EXPORT_COPY_NONE;
}

static void progress_told(void *arg, json_t *answer, const struct err *err)
{
	struct migration *g = arg;
	struct migrate_progress *p = &g->progress;

	if (has_failed(g, answer, err))
		return;
	migrate_read_progress(answer, p);
	if (p->is_target) {
		proxy_switched(g->master, g->export_id);
	} else if (p->phase == MIGRATE_SWITCHING) {
		enter(g, wants_verify(g) ? MIGRATE_VERIFYING : MIGRATE_SWITCHING, NULL);
		next_turn(g, 0);
	} else {
		show(g, p->phase);
		if (is_left_alone(g)) /* blocks are absent all the same, as after a power cut */
			proxy_copy_start(g->master, g->export_id, migrate_rate(entry_of(g)), false);
		next_turn(g, TURN_MS);
	}
}

static void verified(void *arg, json_t *answer, const struct err *err)
{
	struct migration *g = arg;
	json_int_t different = json_integer_value(json_object_get(answer, "different"));
	char text[256];

	if (has_failed(g, answer, err))
		return;
	if (different == 0) {
		enter(g, MIGRATE_SWITCHING, NULL);
		next_turn(g, 0);
		return;
	}
	snprintf(text, sizeof(text),
		"%lld of %lld blocks compared differ from the origin, the first at byte %lld; not switched",
		(long long)different,
		(long long)json_integer_value(json_object_get(answer, "checked")),
		(long long)json_integer_value(json_object_get(answer, "first_different")));
	finish(g, MIGRATE_FAILED, text);
}

/* Blocks may be absent again after a power cut: then there is more to copy. */
static void switch_told(void *arg, json_t *answer, const struct err *err)
{
	struct migration *g = arg;

	if (json_is_true(json_object_get(answer, "incomplete"))) {
		g->relay = NULL;
		enter(g, MIGRATE_COPYING, NULL);
		proxy_copy_start(g->master, g->export_id, migrate_rate(entry_of(g)), false);
		next_turn(g, TURN_MS);
	} else if (!has_failed(g, answer, err)) {
		proxy_switched(g->master, g->export_id);
	}
}

/*
 * While it is being copied proxy.c sees to it that there is a server, and none is started just to
 * ask how far it is. A server that was complete may have been ended before we have heard of it.
 */
static void ask_progress(struct migration *g)
{
	const struct worker *w = worker_for(g->master, g->export_id);

	if ((w && w->state == WORKER_READY) || is_left_alone(g)) {
		ask(g, "query", RELAY_MS, progress_told);
		return;
	}
	enter(g, g->progress.blocks ? MIGRATE_WAITING : MIGRATE_CONNECTING,
		"the export's server is being started");
	next_turn(g, TURN_MS);
}

static void take_turn(struct reactor_timer *t)
{
	struct migration *g = container_of(t, struct migration, turn);

	if (g->relay || is_over(g->phase) || g->master->ending)
		return;
	if (entry_of(g)->config.kind != EXPORT_PROXY)
		finish(g, MIGRATE_DONE, NULL);
	else if (g->phase == MIGRATE_VERIFYING)
		ask(g, "verify", RELAY_LONG_MS, verified);
	else if (g->phase == MIGRATE_SWITCHING)
		ask(g, "switch", RELAY_LONG_MS, switch_told);
	else
		ask_progress(g);
}

/* What others tell. */

void migrate_poke(struct master *m, uint32_t export_id)
{
	struct migration *g = find(m, export_id);

	if (g && !g->relay && is_copying(g->phase) && !m->ending)
		next_turn(g, SOON_MS);
}

void migrate_switched(struct master *m, uint32_t export_id)
{
	struct migration *g = find(m, export_id);

	if (!g || g->phase == MIGRATE_DONE)
		return;
	if (g->relay)
		relay_cancel(g->relay);
	g->relay = NULL;
	g->progress.cached = g->progress.blocks;
	finish(g, MIGRATE_DONE, NULL);
}

static struct migration *create(struct master *m, uint32_t export_id, enum migrate_phase phase)
{
	struct migration *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	*g = (struct migration){
		.master = m, .next = m->migrations, .export_id = export_id, .phase = phase};
	g->turn.fn = take_turn;
	g->progress.seconds_left = -1;
	m->migrations = g;
	return g;
}

static void destroy(struct migration *g)
{
	struct migration **p = &g->master->migrations;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	if (g->relay)
		relay_cancel(g->relay);
	reactor_timer_cancel(&g->master->reactor, &g->turn);
	free(g);
}

void migrate_forget(struct master *m, uint32_t export_id)
{
	struct migration *g = find(m, export_id);

	if (g)
		destroy(g);
}

void migrate_end_all(struct master *m)
{
	while (m->migrations)
		destroy(m->migrations);
}

/* A hook that was not run, because the wrapper ended too early, is run now. */
static void take_up(struct master *m, struct export_entry *e)
{
	enum migrate_phase phase = migrate_stored_phase(e);
	struct migration *g = create(m, e->id, phase);

	if (!g) {
		log_export(LOG_LEVEL_ERROR, e->config.name, "migration: out of memory");
		return;
	}
	note(g, json_string_value(json_object_get(e->migration, "error")));
	if (!is_over(phase)) {
		log_export(LOG_LEVEL_INFO, e->config.name, "migration goes on");
		next_turn(g, SOON_MS);
	} else if (phase != MIGRATE_ABORTED &&
		!json_is_true(json_object_get(e->migration, "hook_ran"))) {
		run_hook(g, phase == MIGRATE_DONE ? "done" : "failed");
	}
}

void migrate_start_all(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++) {
		if (m->exports.entries[i].migration)
			take_up(m, &m->exports.entries[i]);
	}
}

/* Commands. */

static int add_export(struct master *m, const struct migrate_wish *wish, struct export_entry **ret,
	struct err *err)
{
	const struct export_config spec = {.name = wish->name,
		.image = wish->cache,
		.kind = EXPORT_PROXY,
		.source = EXPORT_FROM_STATE,
		.bitmap = wish->bitmap,
		.control = wish->control,
		.uri = wish->uri};
	int r;

	if (!wish->cache)
		return err_set(err, EINVAL,
			"there is no export '%.100s' yet: --cache FILE must say where its data goes",
			wish->name);
	r = exports_add(&m->exports, &spec, ret, err);
	if (r < 0)
		return r;
	(*ret)->copy = EXPORT_COPY_RUNNING;
	(*ret)->copy_rate = wish->rate;
	(*ret)->migration = migrate_stored(wish, MIGRATE_CONNECTING);
	return master_export_added(m, *ret, err);
}

/* To go on is possible with a proxy of the same origin. */
static int check_known(const struct master *m, const struct export_entry *e,
	const struct migrate_wish *wish, struct err *err)
{
	const struct migration *g = find(m, e->id);
	CLEANUP_FREE char *origin = exports_origin_text(e);

	if (e->config.kind != EXPORT_PROXY)
		return err_set(err, EEXIST, "'%.100s' is no proxy%s", e->config.name,
			g && g->phase == MIGRATE_DONE ? "; its migration is done" : "");
	if (!exports_same_origin(e, &(struct export_config){.uri = wish->uri}))
		return err_set(err, EEXIST,
			"'%.100s' has the origin %.200s; --bgctl-reconnect gives it another one",
			e->config.name, origin ? origin : "?");
	if (wish->cache && strcmp(wish->cache, e->config.image) != 0)
		return err_set(err, EEXIST, "'%.100s' has the cache %.200s", e->config.name,
			e->config.image);
	if (g && !is_over(g->phase))
		return err_set(err, EALREADY, "'%.100s' is being migrated already", e->config.name);
	return 0;
}

static void go_on(struct master *m, struct export_entry *e, const struct migrate_wish *wish)
{
	json_decref(e->migration);
	e->migration = migrate_stored(wish, MIGRATE_CONNECTING);
	migrate_forget(
		m, e->id); /* the old one, that is over; the entry is saved by what follows */
}

int migrate_begin(struct master *m, const struct migrate_wish *wish, struct err *err)
{
	struct export_entry *e = exports_by_name(&m->exports, wish->name);
	struct migration *g;
	int ret = e ? check_known(m, e, wish, err) : 0;

	if (ret < 0)
		return ret;
	if (e)
		go_on(m, e, wish);
	else
		ret = add_export(m, wish, &e, err);
	if (ret < 0)
		return ret;
	g = create(m, e->id, MIGRATE_CONNECTING);
	if (!g)
		return err_set(err, ENOMEM, "out of memory");
	proxy_copy_start(m, e->id, wish->rate, false);
	next_turn(g, SOON_MS);
	return 0;
}

int migrate_abort(struct master *m, const char *name, struct err *err)
{
	const struct export_entry *e = exports_by_name(&m->exports, name);
	struct migration *g = e ? find(m, e->id) : NULL;

	if (!g)
		return err_set(err, ENOENT, "'%.100s' is not being migrated", name);
	if (is_over(g->phase))
		return err_set(err, EALREADY, "the migration of '%.100s' is over: %s", name,
			migrate_phase_name(g->phase));
	if (g->phase == MIGRATE_SWITCHING)
		return err_set(err, EBUSY, "'%.100s' is being switched; too late to abort", name);
	if (g->relay)
		relay_cancel(g->relay);
	g->relay = NULL;
	reactor_timer_cancel(&m->reactor, &g->turn);
	proxy_copy_set(m, g->export_id, EXPORT_COPY_NONE);
	enter(g, MIGRATE_ABORTED, NULL);
	return 0;
}

static json_t *percent(const struct migrate_progress *p, enum migrate_phase phase)
{
	if (phase == MIGRATE_DONE)
		return json_real(100);
	return json_real(
		p->blocks ? (double)(p->cached * 1000 / p->blocks) / 10 : 0); /* never rounded up */
}

json_t *migrate_describe(const struct master *m, const struct export_entry *e)
{
	const struct migration *g = find(m, e->id);
	const struct migrate_progress *p;
	json_t *all;

	if (!g)
		return NULL;
	p = &g->progress;
	all = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "phase", migrate_phase_name(g->phase),
		"percent", percent(p, g->phase), "rate",
		(json_int_t)(g->phase == MIGRATE_COPYING ? p->rate : 0), "rate_limit",
		(json_int_t)migrate_rate(e), "bytes", (json_int_t)(p->cached * p->block),
		"bytes_total", (json_int_t)(p->blocks * p->block));
	json_object_set_new(all, "seconds_left",
		g->phase == MIGRATE_COPYING && p->seconds_left >= 0 ? json_integer(p->seconds_left)
								    : json_null());
	json_object_set_new(all, "verify", json_boolean(wants_verify(g)));
	if (*p->error)
		json_object_set_new(all, "error", json_string(p->error));
	return all;
}

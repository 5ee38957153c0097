/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A migration as data: its json in the entry, names of phases, and what a server's answer to
 * "query" means. Nothing here decides anything.
 */
#include "migrate_store.h"

#include "log.h"
#include "master.h"
#include "state.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static const char *const phase_names[MIGRATE_PHASES] = {
	[MIGRATE_CONNECTING] = "connecting",
	[MIGRATE_COPYING] = "copying",
	[MIGRATE_WAITING] = "waiting",
	[MIGRATE_VERIFYING] = "verifying",
	[MIGRATE_SWITCHING] = "switching",
	[MIGRATE_DONE] = "done",
	[MIGRATE_FAILED] = "failed",
	[MIGRATE_ABORTED] = "aborted",
};

const char *migrate_phase_name(enum migrate_phase phase)
{
	return phase_names[phase];
}

bool migrate_phase_parse(const char *name, enum migrate_phase *ret)
{
	for (unsigned i = 0; i < MIGRATE_PHASES; i++) {
		if (name && strcmp(name, phase_names[i]) == 0) {
			*ret = (enum migrate_phase)i;
			return true;
		}
	}
	return false;
}

/* A restart finds out anew whether it is connected. */
static const char *stored_name(enum migrate_phase phase)
{
	return phase_names[phase <= MIGRATE_WAITING ? MIGRATE_COPYING : phase];
}

json_t *migrate_stored(const struct migrate_wish *wish, enum migrate_phase phase)
{
	json_t *all = json_pack("{s:s, s:I, s:b}", "phase", stored_name(phase), "rate",
		(json_int_t)wish->rate, "verify", wish->verify);

	if (all && wish->hook && json_object_set_new(all, "hook", json_string(wish->hook)) < 0) {
		json_decref(all);
		return NULL;
	}
	return all;
}

enum migrate_phase migrate_stored_phase(const struct export_entry *e)
{
	enum migrate_phase phase;

	if (!migrate_phase_parse(json_string_value(json_object_get(e->migration, "phase")), &phase))
		return MIGRATE_CONNECTING;
	return phase <= MIGRATE_WAITING ? MIGRATE_CONNECTING : phase;
}

uint64_t migrate_rate(const struct export_entry *e)
{
	json_int_t rate = json_integer_value(json_object_get(e->migration, "rate"));

	return rate > 0 ? (uint64_t)rate : 0;
}

static void save(struct master *m, const struct export_entry *e)
{
	struct err err = {0};

	if (state_save(m->options->dbpath, &m->exports, &err) < 0)
		log_export(LOG_LEVEL_ERROR, e->config.name, "migration: not saved: %s", err.text);
}

void migrate_store(
	struct master *m, struct export_entry *e, enum migrate_phase phase, const char *error)
{
	json_object_set_new(e->migration, "phase", json_string(stored_name(phase)));
	if (error && *error)
		json_object_set_new(e->migration, "error", json_string(error));
	else
		json_object_del(e->migration, "error");
	save(m, e);
}

void migrate_store_hook_ran(struct master *m, struct export_entry *e)
{
	json_object_set_new(e->migration, "hook_ran", json_true());
	save(m, e);
}

/* Reading answers. */

static uint64_t number(json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const char *text(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static void say(struct migrate_progress *p, enum migrate_phase phase, const char *error)
{
	p->phase = phase;
	snprintf(p->error, sizeof(p->error), "%s", error);
}

/* The origin's trouble explains why nothing is copied. */
static void read_phase(json_t *answer, struct migrate_progress *p)
{
	json_t *origin = json_object_get(answer, "origin"), *copy = json_object_get(answer, "copy");
	const char *state = text(copy, "state"), *error = text(copy, "error");
	bool connected = strcmp(text(origin, "state"), "connected") == 0;

	if (strcmp(state, "done") == 0 || (p->blocks && p->cached == p->blocks))
		say(p, MIGRATE_SWITCHING, "");
	else if (strcmp(state, "paused") == 0)
		say(p, MIGRATE_WAITING, *error ? error : "paused; --bgctl-resume goes on");
	else if (!connected && !p->cached)
		say(p, MIGRATE_CONNECTING, text(origin, "error"));
	else if (strcmp(state, "waiting") == 0 || !connected)
		say(p, MIGRATE_WAITING, *text(origin, "error") ? text(origin, "error") : error);
	else
		say(p, MIGRATE_COPYING, error);
}

void migrate_read_progress(json_t *answer, struct migrate_progress *ret)
{
	json_t *copy = json_object_get(answer, "copy"), *left;

	*ret = (struct migrate_progress){.cached = number(answer, "cached"),
		.blocks = number(answer, "blocks"),
		.block = number(answer, "block"),
		.rate = number(copy, "rate"),
		.seconds_left = -1,
		.is_target = strcmp(text(answer, "mode"), "target") == 0};
	left = json_object_get(copy, "seconds_left");
	if (json_is_integer(left) && json_integer_value(left) >= 0)
		ret->seconds_left = json_integer_value(left);
	read_phase(answer, ret);
}

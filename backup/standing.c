/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands `status` and `list`: what the records say, without the lock, so while a run goes on
 * as well. On a node that is not active nothing is expected, as its records may be of last month.
 */
#include "command.h"

#include "active.h"
#include "catalog.h"
#include "hook.h"
#include "log.h"
#include "schedule.h"
#include "status.h"
#include "stop.h"
#include "util.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct standing {
	const struct options *options;
	const struct config *config;
	uint64_t now;
	enum status_level worst;
	size_t count[STATUS_UNKNOWN + 1], all;
	json_t *json;
	FILE *lines; /* those of the volumes */
	FILE *ages;  /* perfdata */
};

/* Unknown is worse than a warning, and not as bad as critical. */
static bool is_worse(enum status_level a, enum status_level b)
{
	static const int ranks[] = {0, 1, 3, 2};

	return ranks[a] > ranks[b];
}

static void add(struct standing *s, const char *name, const struct status *one)
{
	unsigned long long age = s->now > one->last_good ? s->now - one->last_good : 0;

	s->all++;
	s->count[one->level]++;
	if (is_worse(one->level, s->worst))
		s->worst = one->level;
	fprintf(s->lines, "%s: %s: %s\n", status_word(one->level), name, one->text);
	if (one->last_good)
		fprintf(s->ages, " '%s'=%llus", name, age);
	json_array_append_new(s->json,
		json_pack("{s:s, s:s, s:s, s:I}", "volume", name, "state", status_word(one->level),
			"text", one->text, "last_good", (json_int_t)one->last_good));
}

/* Of one that is the other node's nothing is expected, either. */
static void excuse(const struct standing *s, const struct config_volume *v, struct status *one)
{
	struct err err = {0};

	if (one->level != STATUS_OK && active_here(s->config, v, &err) == 0)
		*one = (struct status){
			.level = STATUS_OK, .last_good = one->last_good, .text = ACTIVE_NOT};
}

static void judge(struct standing *s, const struct config_volume *v)
{
	struct status one = {.level = STATUS_UNKNOWN};
	struct records r;
	struct err err = {0};
	const char *folder = s->config->general.state_directory;

	if (catalog_load(folder, v->name, &r, &err) < 0)
		snprintf(one.text, sizeof(one.text), "%s", err.text);
	else
		status_judge(v, &r, catalog_holder(folder) != 0, s->now, &one);
	excuse(s, v, &one);
	add(s, v->name, &one);
	records_done(&r);
}

static void print(const struct standing *s, const char *lines, const char *ages)
{
	if (s->options->json) {
		json_t *top =
			json_pack("{s:s, s:O}", "state", status_word(s->worst), "volumes", s->json);

		json_dumpf(top, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(top);
		return;
	}
	printf("BACKUP %s: %zu volumes, %zu critical, %zu warnings, %zu unknown |%s\n%s",
		status_word(s->worst), s->all, s->count[STATUS_CRITICAL], s->count[STATUS_WARNING],
		s->count[STATUS_UNKNOWN], ages, lines);
}

static int judge_all(struct standing *s)
{
	CLEANUP_FREE char *lines = NULL, *ages = NULL;
	size_t lines_len, ages_len;

	s->lines = open_memstream(&lines, &lines_len);
	s->ages = open_memstream(&ages, &ages_len);
	s->json = json_array();
	if (!s->lines || !s->ages || !s->json)
		return command_fail(&(struct err){.text = "out of memory"}, NAGIOS_UNKNOWN);
	for (size_t i = 0; i < s->config->count; i++) {
		if (command_wants(s->options, &s->config->volumes[i]))
			judge(s, &s->config->volumes[i]);
	}
	fclose(s->lines);
	fclose(s->ages);
	print(s, lines, ages);
	json_decref(s->json);
	return (int)s->worst;
}

int command_status(const struct options *o, struct config *c)
{
	struct standing s = {.options = o, .config = c, .now = (uint64_t)time(NULL)};
	struct err err = {0};
	int active = c->general.active_if ? hook_is_active(c->general.active_if, NULL, &err) : 1;

	if (active < 0)
		return command_fail(&err, NAGIOS_UNKNOWN);
	if (active == 0) {
		puts(o->json ? "{\"state\":\"OK\",\"volumes\":[]}"
			     : "BACKUP OK: this is not the active node");
		return NAGIOS_OK;
	}
	if (command_add_exports(c, &err) < 0 || command_check_names(o, c, &err) < 0)
		return command_fail(&err, NAGIOS_UNKNOWN);
	return judge_all(&s);
}

/* The command `list`. */

static json_t *describe(const char *volume, const struct record *r)
{
	static const char *const states[] = {"writing", "good", "bad"};

	return json_pack("{s:s, s:I, s:s, s:b, s:I, s:I, s:s}", "volume", volume, "time",
		(json_int_t)r->time, "state", states[r->state], "verified", r->verified, "bytes",
		(json_int_t)r->bytes, "stored", (json_int_t)r->stored, "target", r->target);
}

static int list_one(
	const struct options *o, const struct config *c, const char *volume, json_t *all)
{
	struct records r;
	struct err err = {0};
	char when[NAMING_TIME_ROOM];
	int status = COMMAND_DONE;

	if (catalog_load(c->general.state_directory, volume, &r, &err) < 0)
		status = command_fail(&err, COMMAND_FAILED);
	for (size_t i = 0; i < r.count; i++) {
		json_t *one = describe(volume, &r.items[i]);

		naming_time(r.items[i].time, when);
		if (!o->json)
			printf("%s  %s  %-7s  %s\n", when, volume,
				json_string_value(json_object_get(one, "state")),
				r.items[i].target);
		json_array_append_new(all, one);
	}
	records_done(&r);
	return status;
}

int command_list(const struct options *o, struct config *c)
{
	json_t *all = json_array();
	struct err err = {0};
	int status = COMMAND_DONE;

	if (command_add_exports(c, &err) < 0)
		log_warn("exports: %s", err.text);
	if (command_check_names(o, c, &err) < 0) {
		json_decref(all);
		return command_fail(&err, COMMAND_USAGE);
	}
	for (size_t i = 0; i < c->count; i++) {
		if (command_wants(o, &c->volumes[i]) &&
			list_one(o, c, c->volumes[i].name, all) != COMMAND_DONE)
			status = COMMAND_FAILED;
	}
	if (o->json) {
		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
	}
	json_decref(all);
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One function a kind of answer. Texts that others chose (names, paths, reasons) are made
 * printable; lines are for people, --json is for programs.
 */
#include "ctl_print.h"

#include "ctl_clients.h"
#include "ctl_list.h"
#include "ctl_stats.h"
#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void print_escaped(const char *text)
{
	size_t len = strlen(text), room = 4 * len + 1;
	CLEANUP_FREE char *out = malloc(room);

	if (!out)
		return;
	str_printable(out, room, text, len);
	fputs(out, stdout);
}

static void print_field(const char *before, json_t *object, const char *key)
{
	fputs(before, stdout);
	print_escaped(text_of(object, key));
}

/* As scripts of the original expect it: "(FILE)" or "(HOST:PORT[:NAME], CACHE, BITMAP, CTL)". */
static void print_export(json_t *e)
{
	printf("%lld", number_of(e, "index"));
	print_field(" : ", e, "name");
	if (strcmp(text_of(e, "mode"), "proxy") == 0) {
		print_field("  (", e, "origin");
		print_field(", ", e, "image");
		print_field(", ", e, "bitmap");
		print_field(", ", e, "control");
	} else {
		print_field("  (", e, "image");
	}
	printf(")\n");
}

static void print_list(json_t *answer)
{
	bool any = false;
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(answer, "exports"), i, e)
	{
		if (json_object_get(e, "snapshot_of"))
			continue;
		print_export(e);
		any = true;
	}
	if (!any)
		printf("no item\n");
}

/* False: it is something else. */
static bool print_texts(json_t *array)
{
	json_t *one;
	size_t i;

	if (!json_is_string(json_array_get(array, 0)))
		return false;
	json_array_foreach(array, i, one)
	{
		fputs(i ? ", " : "", stdout);
		if (json_is_string(one))
			print_escaped(json_string_value(one));
	}
	return true;
}

static void print_fields(json_t *object, const char *before)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
		char name[64];

		if (strcmp(key, "ok") == 0 || strcmp(key, "v") == 0)
			continue;
		snprintf(name, sizeof(name), "%s%s", before, key);
		if (json_is_object(value)) {
			snprintf(name, sizeof(name), "%s%s.", before, key);
			print_fields(value, name);
			continue;
		}
		printf("%-16s", name);
		if (strlen(name) >= 16)
			putchar(' ');
		if (json_is_string(value))
			print_escaped(json_string_value(value));
		else if (!print_texts(value))
			fputs(text ? text : "?", stdout);
		putchar('\n');
	}
}

static void print_query(json_t *answer)
{
	long long cached = number_of(answer, "cached"), blocks = number_of(answer, "blocks");

	print_fields(answer, "");
	if (blocks > 0)
		printf("%-16s%.1f %%\n", "complete", (double)(cached * 1000 / blocks) / 10);
}

static void print_verify(json_t *answer)
{
	printf("%lld blocks compared, %lld differ, %lld could not be compared\n",
		number_of(answer, "checked"), number_of(answer, "different"),
		number_of(answer, "skipped"));
	if (number_of(answer, "different") > 0)
		printf("the first difference is at byte %lld\n",
			number_of(answer, "first_different"));
}

static void print_snapshot(json_t *answer)
{
	printf("%lld", number_of(answer, "id"));
	print_field(" : ", answer, "export");
	print_field("  (", answer, "path");
	printf(")\n");
}

static void print_snapshots(json_t *answer)
{
	json_t *all = json_object_get(answer, "snapshots"), *s;
	size_t i;

	if (json_array_size(all) == 0)
		printf("no item\n");
	json_array_foreach(all, i, s)
	{
		printf("%lld", number_of(s, "id"));
		print_field(" : ", s, "export");
		print_field("  (", s, "path");
		print_field(", ", s, "state");
		printf(")\n");
	}
}

static void print_time_left(json_t *m)
{
	long long left = number_of(m, "seconds_left");

	if (json_is_integer(json_object_get(m, "seconds_left")))
		printf(", %lld:%02lld:%02lld left", left / 3600, left / 60 % 60, left % 60);
}

static void print_migrations(json_t *answer)
{
	json_t *all = json_object_get(answer, "migrations"), *m;
	size_t i;

	if (json_array_size(all) == 0)
		printf("no item\n");
	json_array_foreach(all, i, m)
	{
		print_field("", m, "name");
		print_field(" : ", m, "phase");
		printf(", %.1f %%", json_number_value(json_object_get(m, "percent")));
		if (number_of(m, "rate") > 0)
			printf(", %.1f MiB/s", (double)number_of(m, "rate") / (1 << 20));
		print_time_left(m);
		if (*text_of(m, "error"))
			print_field("; ", m, "error");
		printf("\n");
	}
}

/* Lists are an array; everything else is an object. */
static void print_json(json_t *answer)
{
	static const char *const lists[] = {"clients", "exports", "snapshots", "migrations"};
	CLEANUP_FREE char *text = NULL;
	json_t *shown = answer;

	json_object_del(answer, "v");
	json_object_del(answer, "ok");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list = json_object_get(answer, lists[i]);

		if (json_is_array(list) && json_object_size(answer) == 1)
			shown = list;
	}
	text = json_dumps(shown, JSON_INDENT(2));
	printf("%s\n", text ? text : "");
}

/* What to know or do next. */
static void print_text(json_t *answer)
{
	if (!*text_of(answer, "text"))
		return;
	print_field("", answer, "text");
	printf("\n");
}

static void print_level(json_t *answer)
{
	json_t *one;
	size_t i;

	printf("%s, in the wrapper and %lld servers", text_of(answer, "level"),
		number_of(answer, "servers"));
	json_array_foreach(json_object_get(answer, "missed"), i, one)
	{
		fputs(i ? ", " : "; no answer of ", stdout);
		print_escaped(json_string_value(one));
	}
	putchar('\n');
}

/* Servers that get no new clients have a line each. */
static void print_status(json_t *answer)
{
	json_t *all = json_incref(json_object_get(answer, "apart")), *one;
	size_t i;

	json_object_del(answer, "apart");
	print_fields(answer, "");
	json_array_foreach(all, i, one)
	{
		printf("%-16s", "apart");
		print_field("", one, "export");
		printf(" (pid %lld, %lld clients)", number_of(one, "pid"),
			number_of(one, "clients"));
		print_field(": ", one, "reason");
		putchar('\n');
	}
	json_decref(all);
}

void ctl_print(const struct ctl_options *o, json_t *answer)
{
	if (o->json) {
		print_json(answer);
		return;
	}
	switch ((enum ctl_action)o->action) {
	case CTL_LIST:
		if (isatty(STDOUT_FILENO))
			ctl_list_print(answer, stdout);
		else
			print_list(answer);
		break;
	case CTL_STATUS:
		print_status(answer);
		break;
	case CTL_STATS:
		ctl_stats_print(answer, NULL, 0,
			*text_of(answer, "name") ? text_of(answer, "name") : NULL, stdout);
		break;
	case CTL_METRICS:
		fputs(text_of(answer, "text"), stdout);
		break;
	case CTL_LOG_LEVEL:
		print_level(answer);
		break;
	case CTL_CLIENTS:
		ctl_clients_print(answer);
		break;
	case CTL_QUERY:
		print_query(answer);
		break;
	case CTL_VERIFY:
		print_verify(answer);
		break;
	case CTL_SNAPSHOT:
		print_snapshot(answer);
		break;
	case CTL_SNAPSHOTS:
		print_snapshots(answer);
		break;
	case CTL_MIGRATE_STATUS:
		print_migrations(answer);
		break;
	default:
		print_text(answer);
	}
}

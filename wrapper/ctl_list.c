/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A row for each export; see ctl_list.h. What is not known without a server is "-". */
#include "ctl_list.h"

#include "table.h"
#include "util.h"

#include <string.h>

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The one word about an export that matters most. */
static const char *state_of(json_t *e)
{
	json_t *migration = json_object_get(e, "migration");
	const char *phase = text_of(migration, "phase");

	if (*phase && strcmp(phase, "done") != 0)
		return "migrating";
	if (strcmp(text_of(e, "copy"), "running") == 0)
		return "copying";
	return json_object_get(e, "pid") ? "running" : "idle";
}

static void add_row(struct table *t, json_t *e)
{
	json_t *size = json_object_get(e, "size");
	const char *image = text_of(e, "image");

	table_add_number(t, (uint64_t)json_integer_value(json_object_get(e, "index")));
	table_add(t, text_of(e, "name"));
	table_add(t, json_object_get(e, "snapshot_of") ? "snapshot" : text_of(e, "mode"));
	table_add(t, json_is_true(json_object_get(e, "readonly")) ? "read" : "write");
	if (size)
		table_add_bytes(t, (uint64_t)json_integer_value(size));
	else
		table_add(t, "-");
	table_add_number(t, json_array_size(json_object_get(e, "clients")));
	table_add(t, state_of(e));
	table_add(t, text_of(e, "source"));
	table_add(t, image);
}

void ctl_list_print(json_t *answer, FILE *out)
{
	static const struct table_column columns[] = {{"INDEX", TABLE_RIGHT}, {"NAME", TABLE_LEFT},
		{"MODE", TABLE_LEFT}, {"ACCESS", TABLE_LEFT}, {"SIZE", TABLE_RIGHT},
		{"CLIENTS", TABLE_RIGHT}, {"STATE", TABLE_LEFT}, {"FROM", TABLE_LEFT},
		{"IMAGE", TABLE_LEFT}};
	json_t *all = json_object_get(answer, "exports"), *e;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0) {
		fputs("no item\n", out);
		return;
	}
	table_init(&t, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, e) add_row(&t, e);
	table_print(&t, out);
	table_done(&t);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row for each client, columns as wide as need be. Names and addresses are made printable first,
 * and counted in characters, not bytes.
 */
#include "ctl_clients.h"

#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ID, EXPORT, PEER, SINCE, FEATURES, ACCESS, COLUMNS, TIME_ROOM = 32, CELL_ROOM = 8192 };

static const char *const titles[COLUMNS] = {"ID", "EXPORT", "PEER", "SINCE", "FEATURES", "ACCESS"};

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_time(json_t *seconds, char out[TIME_ROOM])
{
	time_t t = (time_t)json_integer_value(seconds);
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, TIME_ROOM, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(out, TIME_ROOM, "?");
}

static void print_access(json_t *c, char *out, size_t room)
{
	const char *evicted = json_is_true(json_object_get(c, "evicted")) ? ", evicted" : "";
	char since[TIME_ROOM];

	print_time(json_object_get(c, "holder_since"), since);
	if (json_is_true(json_object_get(c, "holder")))
		snprintf(out, room, "exclusive since %s%s", since, evicted);
	else
		snprintf(out, room, "%s%s",
			json_is_true(json_object_get(c, "readonly")) ? "read" : "write", evicted);
}

static void print_cell(json_t *c, int column, char out[CELL_ROOM])
{
	static const char *const keys[COLUMNS] = {
		[EXPORT] = "export", [PEER] = "peer", [FEATURES] = "features"};

	if (column == ID)
		snprintf(out, CELL_ROOM, "%lld",
			(long long)json_integer_value(json_object_get(c, "id")));
	else if (column == SINCE)
		print_time(json_object_get(c, "since"), out);
	else if (column == ACCESS)
		print_access(c, out, CELL_ROOM);
	else
		str_printable(
			out, CELL_ROOM, text_of(c, keys[column]), strlen(text_of(c, keys[column])));
}

static int characters(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void print_padded(const char *text, int width, bool is_last)
{
	if (is_last)
		printf("%s\n", text);
	else
		printf("%s%*s", text, width - characters(text) + 2, "");
}

static void measure(json_t *clients, int width[COLUMNS])
{
	char cell[CELL_ROOM];
	json_t *c;
	size_t i;

	for (int k = 0; k < COLUMNS; k++)
		width[k] = characters(titles[k]);
	json_array_foreach(clients, i, c)
	{
		for (int k = 0; k < COLUMNS; k++) {
			print_cell(c, k, cell);
			width[k] = MAX_OF(width[k], characters(cell));
		}
	}
}

void ctl_clients_print(json_t *answer)
{
	json_t *clients = json_object_get(answer, "clients"), *c;
	char cell[CELL_ROOM];
	int width[COLUMNS];
	size_t i;

	if (json_array_size(clients) == 0) {
		printf("no item\n");
		return;
	}
	measure(clients, width);
	for (int k = 0; k < COLUMNS; k++)
		print_padded(titles[k], width[k], k == COLUMNS - 1);
	json_array_foreach(clients, i, c)
	{
		for (int k = 0; k < COLUMNS; k++) {
			print_cell(c, k, cell);
			print_padded(cell, width[k], k == COLUMNS - 1);
		}
	}
}

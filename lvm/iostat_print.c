/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks on the screen and in files; see iostat_print.h. Names come from peers and administrators,
 * so they are made printable first. A rate that is not known is "-", and null in JSON.
 */
#include "iostat_print.h"

#include "str.h"
#include "util.h"

#include <jansson.h>
#include <string.h>

enum { COLUMNS = 11, CELL_ROOM = 2 * IOSTAT_NAME_ROOM, LEFT_COLUMNS = 2 };

/* A line of the table. */
struct line {
	char cells[COLUMNS][CELL_ROOM];
};

static const char *const titles[COLUMNS] = {"DEVICE", "NAME", "READ", "WRITTEN", "READ/S",
	"WRITE/S", "READS/S", "WRITES/S", "QUEUE", "QTIME[ms]", ""};

void iostat_bytes(char out[IOSTAT_BYTES_ROOM], double bytes)
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	for (; bytes >= 1023.95 && unit < 5; unit++)
		bytes /= 1024;
	if (unit < 0)
		snprintf(out, IOSTAT_BYTES_ROOM, "%.0f", bytes);
	else
		snprintf(out, IOSTAT_BYTES_ROOM, "%.1f%c", bytes, units[unit]);
}

/* The table. */

static void set_names(const struct iostat_item *item, struct line *l)
{
	static const char *const kinds[] = {
		[IOSTAT_DEVICE] = "", [IOSTAT_EXPORT] = "  export", [IOSTAT_CLIENT] = "    client"};
	const char *device = item->kind == IOSTAT_DEVICE ? item->device : kinds[item->kind];

	str_printable(l->cells[0], CELL_ROOM, device, strlen(device));
	str_printable(l->cells[1], CELL_ROOM, item->name, strlen(item->name));
	str_printable(l->cells[10], CELL_ROOM, item->relation, strlen(item->relation));
}

static void set_rate(char *cell, const struct iostat_rates *r, double n)
{
	if (!r->is_known)
		strcpy(cell, "-");
	else
		snprintf(cell, CELL_ROOM, n > 0 && n < 9.95 ? "%.1f" : "%.0f", n);
}

static void set_line(const struct iostat_item *item, const struct iostat_rates *r, struct line *l)
{
	const double bytes[] = {
		(double)item->counts.read, (double)item->counts.written, r->read, r->written};

	set_names(item, l);
	for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
		if (i < 2 || r->is_known)
			iostat_bytes(l->cells[2 + i], bytes[i]);
		else
			strcpy(l->cells[2 + i], "-");
	}
	set_rate(l->cells[6], r, r->reads);
	set_rate(l->cells[7], r, r->writes);
	snprintf(l->cells[8], CELL_ROOM, "%llu", (unsigned long long)item->counts.in_flight);
	if (item->has_queue_ms)
		set_rate(l->cells[9], r, r->queue_ms);
	else
		strcpy(l->cells[9], "-");
}

/* Names of volumes are ASCII; others, of exports, may be longer in bytes than on the screen. */
static int places(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void widen(int widths[COLUMNS], const struct line *l)
{
	for (int i = 0; i < COLUMNS; i++)
		widths[i] = MAX_OF(widths[i], places(l->cells[i]));
}

static void print_line(const struct line *l, const int widths[COLUMNS], FILE *out)
{
	for (int i = 0; i < COLUMNS; i++) {
		int pad = widths[i] - places(l->cells[i]);

		if (i == COLUMNS - 1)
			fputs(l->cells[i], out);
		else if (i < LEFT_COLUMNS)
			fprintf(out, "%s%*s", l->cells[i], pad + 2, "");
		else if (i < COLUMNS - 2 || *l->cells[COLUMNS - 1])
			fprintf(out, "%*s%s  ", pad, "", l->cells[i]);
		else
			fprintf(out, "%*s%s", pad, "", l->cells[i]);
	}
	putc('\n', out);
}

/* Lines are made twice, as they may be many and are short-lived: for their widths, then to print.
 */
void iostat_print_table(const struct iostat_sample *s, const struct iostat_rates *rates, FILE *out)
{
	struct line head = {0}, line;
	int widths[COLUMNS] = {0};

	for (int i = 0; i < COLUMNS; i++)
		strcpy(head.cells[i], titles[i]);
	widen(widths, &head);
	for (size_t i = 0; i < s->count; i++) {
		set_line(&s->items[i], &rates[i], &line);
		widen(widths, &line);
	}
	print_line(&head, widths, out);
	for (size_t i = 0; i < s->count; i++) {
		set_line(&s->items[i], &rates[i], &line);
		print_line(&line, widths, out);
	}
}

/* For rrdtool. */

static void print_word(const char *text, FILE *out)
{
	char clean[4 * IOSTAT_NAME_ROOM];

	str_printable(clean, sizeof(clean), text, strlen(text));
	for (const char *p = clean; *p; p++) {
		if (*p == ' ')
			fputs("\\x20", out);
		else
			putc(*p, out);
	}
}

void iostat_print_dump(const struct iostat_sample *s, FILE *out)
{
	static const char *const kinds[] = {
		[IOSTAT_DEVICE] = "", [IOSTAT_EXPORT] = "export/", [IOSTAT_CLIENT] = "client/"};

	for (size_t i = 0; i < s->count; i++) {
		const struct iostat_counts *c = &s->items[i].counts;

		fputs(kinds[s->items[i].kind], out);
		print_word(s->items[i].name, out);
		fprintf(out, " %llu:%llu:%llu:%llu:%llu:%llu:", (unsigned long long)s->seconds,
			(unsigned long long)c->read, (unsigned long long)c->written,
			(unsigned long long)c->reads, (unsigned long long)c->writes,
			(unsigned long long)c->in_flight);
		if (s->items[i].has_queue_ms)
			fprintf(out, "%llu\n", (unsigned long long)c->queue_ms);
		else
			fputs("U\n", out);
	}
}

/* JSON. */

static json_t *rate(const struct iostat_rates *r, double n)
{
	return r->is_known ? json_real(n) : json_null();
}

static json_t *describe(const struct iostat_item *item, const struct iostat_rates *r)
{
	static const char *const kinds[] = {
		[IOSTAT_DEVICE] = "device", [IOSTAT_EXPORT] = "export", [IOSTAT_CLIENT] = "client"};
	const struct iostat_counts *c = &item->counts;
	char name[CELL_ROOM], relation[CELL_ROOM];
	json_t *ret;

	str_printable(name, sizeof(name), item->name, strlen(item->name));
	str_printable(relation, sizeof(relation), item->relation, strlen(item->relation));
	ret = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "kind", kinds[item->kind],
		"device", item->device, "name", name, "relation", relation, "read",
		(json_int_t)c->read, "written", (json_int_t)c->written, "reads",
		(json_int_t)c->reads, "writes", (json_int_t)c->writes, "queue",
		(json_int_t)c->in_flight);
	json_object_set_new(ret, "read_rate", rate(r, r->read));
	json_object_set_new(ret, "write_rate", rate(r, r->written));
	json_object_set_new(ret, "reads_rate", rate(r, r->reads));
	json_object_set_new(ret, "writes_rate", rate(r, r->writes));
	if (item->has_queue_ms)
		json_object_set_new(ret, "queue_ms", json_integer((json_int_t)c->queue_ms));
	return ret;
}

void iostat_print_json(const struct iostat_sample *s, const struct iostat_rates *rates, FILE *out)
{
	json_t *items = json_array();
	json_t *all;

	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(items, describe(&s->items[i], &rates[i]));
	all = json_pack("{s:I, s:o}", "seconds", (json_int_t)s->seconds, "items", items);
	json_dumpf(all, out, JSON_COMPACT);
	putc('\n', out);
	json_decref(all);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan in words, for people, logs and programs; see plan.h. Pure. */
#include "plan.h"

#include "control.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 4 };

const char *plan_change_name(enum plan_change change)
{
	static const char *const names[] = {
		[PLAN_ADDED] = "added",
		[PLAN_REMOVED] = "removed",
		[PLAN_CHANGED] = "changed",
		[PLAN_RESIZED] = "resized",
		[PLAN_UNCHANGED] = "unchanged",
	};

	return names[change];
}

/* A line that is written piece by piece; what does not fit is cut. */
struct line {
	char *text;
	size_t len, room;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, l->room - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len = MIN_OF(l->len + (size_t)n, l->room - 1);
}

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static bool is_of_wrapper(const struct key *k)
{
	return k >= wrapper_keys.keys && k < wrapper_keys.keys + wrapper_keys.count;
}

static void add_keys(struct line *l, const struct plan_row *row)
{
	for (size_t i = 0; i < row->key_count; i++)
		add(l, "%s%s%s", i ? ", " : ": ", row->keys[i]->name,
			is_of_wrapper(row->keys[i]) ? " of the wrapper" : "");
}

static bool waits(const struct plan_row *row, enum plan_way way)
{
	return row->clients > 0 && (way == PLAN_WAIT || (row->waiting && way != PLAN_FORCE));
}

static void add_use(struct line *l, const struct plan_row *row, enum plan_way way)
{
	const unsigned n = row->clients;

	if (waits(row, way))
		add(l, " when its %u client%s %s left", n, plural(n), n == 1 ? "has" : "have");
	else if (n > 0 && way == PLAN_FORCE)
		add(l, ", its %u client%s %s ended", n, plural(n), n == 1 ? "is" : "are");
	else if (n > 0)
		add(l, ", it has %u client%s", n, plural(n));
}

static void add_removal(struct line *l, const struct plan_row *row, enum plan_way way)
{
	add_use(l, row, way);
	if (row->uncovers)
		add(l, "; the one of this name in the state file takes its place");
}

static void add_sizes(struct line *l, const struct plan_row *row, enum plan_way way)
{
	if (row->size == row->old_size)
		return;
	add(l, "%s %llu -> %llu bytes", row->change == PLAN_RESIZED ? ":" : ";",
		(unsigned long long)row->old_size, (unsigned long long)row->size);
	if (row->size < row->old_size && way != PLAN_FORCE)
		add(l, ", not done: it has become shorter, which needs --force");
}

void plan_describe_row(const struct plan_row *row, enum plan_way way, char out[PLAN_LINE_MAX])
{
	struct line l = {out, 0, PLAN_LINE_MAX};
	bool stays = row->revived && row->change == PLAN_UNCHANGED;

	add(&l, "%s %s", stays ? "kept" : plan_change_name(row->change), row->name);
	if (row->change == PLAN_REMOVED)
		add_removal(&l, row, way);
	if (row->hides)
		add(&l, "; what the state file has of this name is not served meanwhile");
	add_keys(&l, row);
	if (row->takes)
		add(&l, "; it is the configuration's now, the state file's is not served meanwhile");
	if (row->restart) {
		add(&l, "; its server is started again");
		add_use(&l, row, way);
	} else {
		add_sizes(&l, row, way);
	}
}

void plan_describe_key(const struct key *key, char out[PLAN_LINE_MAX])
{
	snprintf(out, PLAN_LINE_MAX, "changed wrapper: %s%s", key->name,
		!(key->where & WRAPPER_KEY_LIVE)           ? "; at the next start"
			: key->where & WRAPPER_KEY_SERVERS ? "; for servers started from now on"
							   : "");
}

/* All of it. */

static bool is_silent(const struct plan_row *row)
{
	return row->change == PLAN_UNCHANGED && !row->revived;
}

void plan_each_line(
	const struct plan *p, enum plan_way way, void (*fn)(void *arg, const char *line), void *arg)
{
	char line[PLAN_LINE_MAX];

	for (size_t i = 0; i < p->wrapper_key_count; i++) {
		plan_describe_key(p->wrapper_keys[i], line);
		fn(arg, line);
	}
	for (size_t i = 0; i < p->count; i++) {
		if (is_silent(&p->rows[i]))
			continue;
		plan_describe_row(&p->rows[i], way, line);
		fn(arg, line);
	}
}

static json_t *keys_of(const struct plan_row *row)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < row->key_count; i++)
		json_array_append_new(keys, json_string(row->keys[i]->name));
	return keys;
}

static json_t *describe_row(const struct plan_row *row, enum plan_way way)
{
	char line[PLAN_LINE_MAX];
	json_t *object;

	plan_describe_row(row, way, line);
	object = json_pack("{s:o, s:s, s:o, s:b, s:b, s:i, s:o}", "name", control_text(row->name),
		"change", plan_change_name(row->change), "keys", keys_of(row), "restart",
		row->restart, "waits", plan_is_blocked(row) ? way == PLAN_WAIT : row->waiting,
		"clients", (int)row->clients, "text", control_text(line));
	if (row->size != row->old_size)
		json_object_update_new(object,
			json_pack("{s:I, s:I}", "old", (json_int_t)row->old_size, "size",
				(json_int_t)row->size));
	return object;
}

static json_t *describe_key(const struct key *k)
{
	char line[PLAN_LINE_MAX];

	plan_describe_key(k, line);
	return json_pack("{s:s, s:b, s:s}", "key", k->name, "live", !!(k->where & WRAPPER_KEY_LIVE),
		"text", line);
}

json_t *plan_describe(const struct plan *p, enum plan_way way)
{
	json_t *exports = json_array(), *wrapper = json_array();
	size_t silent = 0;

	for (size_t i = 0; i < p->wrapper_key_count; i++)
		json_array_append_new(wrapper, describe_key(p->wrapper_keys[i]));
	for (size_t i = 0; i < p->count; i++) {
		silent += is_silent(&p->rows[i]);
		if (!is_silent(&p->rows[i]))
			json_array_append_new(exports, describe_row(&p->rows[i], way));
	}
	return json_pack("{s:o, s:o, s:i}", "wrapper", wrapper, "exports", exports, "unchanged",
		(int)silent);
}

/* Refusals. */

static void add_blocked(struct line *l, const struct plan *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct plan_row *row = &p->rows[i];

		if (!plan_is_blocked(row))
			continue;
		if (n++ < SHOWN_MAX)
			add(l, "%s'%.64s' (%u client%s)", n > 1 ? ", " : "", row->name,
				row->clients, plural(row->clients));
	}
	if (n > SHOWN_MAX)
		add(l, " and %u more", n - SHOWN_MAX);
}

static bool is_any_blocked(const struct plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		if (plan_is_blocked(&p->rows[i]))
			return true;
	}
	return false;
}

int plan_check(const struct plan *p, enum plan_way way, struct err *err)
{
	char blocked[ERR_TEXT_MAX / 4 * 3];
	struct line l = {blocked, 0, sizeof(blocked)};

	if (p->conflict_count > 0)
		return err_set(err, EINVAL, "%s", p->conflicts[0]);
	if (way != PLAN_REFUSE || !is_any_blocked(p))
		return 0;
	add_blocked(&l, p);
	return err_set(err, EBUSY,
		"in use: %s; nothing was changed (--force ends clients, --when-idle waits for them)",
		blocked);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lvm_tools.conf; see toolsconf.h. The file was once read by shells, so its lines are what a shell
 * would take for plain assignments; what a shell would do more than that (replace, execute, go on
 * in the next line) is a fault. Keys are rows of a table; all faults are found in one go.
 */
#include "toolsconf.h"

#include "fsutil.h"
#include "log.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct toolsconf, name)

static const struct key rows[] = {
	{.name = "DEFAULT_SNAP_SUFFIX",
		.type = KEY_TEXT,
		.offset = FIELD(snap_suffix),
		.min = 1,
		.max = 100,
		.help = "A snapshot is called as its volume, an underscore and this. The default is "
			"snap."},
	{.name = "DEFAULT_SNAP_SPACE_SM",
		.type = KEY_NUMBER,
		.offset = FIELD(space_sm),
		.min = 1,
		.max = 100,
		.initial = 20,
		.help = "Room of a snapshot in percent of its volume, if that has less than 100 "
			"GiB."},
	{.name = "DEFAULT_SNAP_SPACE_XL",
		.type = KEY_NUMBER,
		.offset = FIELD(space_xl),
		.min = 1,
		.max = 100,
		.initial = 15,
		.help = "The same of larger volumes."},
	{.name = "SNAP_CHUNK",
		.type = KEY_SIZE,
		.offset = FIELD(chunk),
		.min = 0,
		.max = 512 * 1024,
		.help = "What is saved at once: a power of two from 4K to 512K. Larger chunks are "
			"activated sooner, and fill sooner where writes are small and far apart. 0 "
			"means: 64K for small snapshots and up to 512K for large ones."},
	{.name = "SNAP_EXTEND_AT",
		.type = KEY_NUMBER,
		.offset = FIELD(extend_at),
		.min = 0,
		.max = 99,
		.initial = 70,
		.help = "While a snapshot is copied it is extended when it is so full, in percent. 0 "
			"means never."},
	{.name = "SNAP_EXTEND_BY",
		.type = KEY_NUMBER,
		.offset = FIELD(extend_by),
		.min = 1,
		.max = 1000,
		.initial = 50,
		.help = "By how much, in percent of what it has."},
	{.name = "SNAP_RESERVE",
		.type = KEY_SIZE,
		.offset = FIELD(reserve),
		.min = 0,
		.max = INT64_MAX,
		.help = "So much of the volume group stays free when a snapshot is made or "
			"extended."},
	{.name = "ENABLE_MD5",
		.type = KEY_NUMBER,
		.offset = FIELD(verify),
		.min = 0,
		.max = 1,
		.help = "1: a copy is read again and compared when it is done. The name is of old: "
			"data is hashed by SHA-256 on its way, which needs no further reading."},
	{.name = "ENABLE_RAW",
		.type = KEY_NUMBER,
		.offset = FIELD(direct),
		.min = 0,
		.max = 1,
		.initial = 1,
		.help = "1: volumes are read past the page cache. The name is of old: it is "
			"O_DIRECT now."},
	{.name = "MIN_TRANSFER_RATE",
		.type = KEY_NUMBER,
		.offset = FIELD(min_rate),
		.min = 0,
		.max = 1000000,
		.initial = 4,
		.help = "Expected rate of a copy in MB/s; below that there is a warning. 0 means "
			"any."},
};

const struct key_set toolsconf_keys = {rows, ARRAY_LEN(rows)};

/* Faults. */

__attribute__((format(printf, 4, 5))) static void add_fault(
	struct toolsconf_faults *f, const char *path, unsigned line, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], *whole;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (f->count < TOOLSCONF_FAULTS_MAX && asprintf(&whole, "%s:%u: %s", path, line, text) >= 0)
		f->lines[f->count++] = whole;
}

void toolsconf_forget(struct toolsconf_faults *f)
{
	while (f->count > 0)
		free(f->lines[--f->count]);
}

/* The key that was meant, or NULL. */
static const char *nearest(const char *name)
{
	const char *best = NULL;
	size_t least = 4;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = str_distance(name, strlen(name), rows[i].name, strlen(rows[i].name));

		if (n < least) {
			least = n;
			best = rows[i].name;
		}
	}
	return best;
}

/* A line. */

static const char blanks[] = " \t\r";

/* Cuts VALUE to what a shell would assign; NULL, or what is wrong with it. */
static const char *take_value(char *value, char **ret)
{
	char quote = *value == '"' || *value == '\'' ? *value : 0, *end;

	if (quote) {
		end = strchr(++value, quote);
		if (!end)
			return "the quote is not closed";
	} else {
		end = value + strcspn(value, blanks);
	}
	if (*end) {
		char *rest = end + 1 + strspn(end + 1, blanks);

		if (*rest && (*rest != '#' || (quote && rest == end + 1)))
			return "something stands behind the value; a value with blanks needs "
			       "quotes";
		*end = 0;
	}
	if (quote != '\'' && strpbrk(value, quote ? "$`\\" : "$`\\'\"#;&|<>()*?[]{}~"))
		return "the value has a character that a shell would not take as it is";
	*ret = value;
	return NULL;
}

static int set_value(const char *name, const char *value, struct toolsconf *c, struct err *err)
{
	const struct key *k = key_find(&toolsconf_keys, name);
	const char *other = k ? NULL : nearest(name);

	if (!k && other)
		return err_set(
			err, EINVAL, "%.60s: there is no such key; is %s meant?", name, other);
	if (!k)
		return err_set(err, EINVAL, "%.60s: there is no such key", name);
	return key_set(k, c, &value, 1, err);
}

static void take_line(const char *path, unsigned number, char *line, struct toolsconf *c,
	struct toolsconf_faults *f)
{
	const char *fault;
	char *value;
	size_t len;
	struct err err = {0};

	line += strspn(line, blanks);
	len = strcspn(line, blanks);
	len = MIN_OF(len, strcspn(line, "="));
	if (!*line || *line == '#')
		return;
	if (line[len] != '=' || len == 0) {
		add_fault(f, path, number, "must be KEY=VALUE, without blanks around the '='");
		return;
	}
	line[len] = 0;
	fault = take_value(line + len + 1, &value);
	if (fault)
		add_fault(f, path, number, "%.60s: %s", line, fault);
	else if (set_value(line, value, c, &err) < 0)
		add_fault(f, path, number, key_find(&toolsconf_keys, line) ? "%s: %s" : "%.0s%s",
			line, err.text);
}

/* What a key alone cannot know. */
static void check(const char *path, const struct toolsconf *c, struct toolsconf_faults *f)
{
	if (c->chunk > 0 && (!is_power_of_2(c->chunk) || c->chunk < 4096))
		add_fault(f, path, 0, "SNAP_CHUNK: must be 0 or a power of two from 4K to 512K");
}

int toolsconf_parse(
	const char *path, const char *text, struct toolsconf *c, struct toolsconf_faults *f)
{
	CLEANUP_FREE char *copy = strdup(text);
	unsigned number = 0;

	key_init_all(&toolsconf_keys, c);
	if (!copy)
		add_fault(f, path, 0, "out of memory");
	for (char *line = copy; line;) {
		char *next = strchr(line, '\n');

		if (next)
			*next++ = 0;
		take_line(path, ++number, line, c, f);
		line = next;
	}
	check(path, c, f);
	return f->count > 0 ? -EINVAL : 0;
}

int toolsconf_read(
	const char *path, struct toolsconf *c, struct toolsconf_faults *f, struct err *err)
{
	const char *name = path ? path : TOOLSCONF_DEFAULT;
	struct toolsconf_faults own = {0}, *faults = f ? f : &own;
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = fs_read(name, TOOLSCONF_FILE_MAX, &text, &len, err);

	key_init_all(&toolsconf_keys, c);
	if (r == -ENOENT && !path) {
		*err = (struct err){0};
		return 0;
	}
	if (r < 0)
		return r;
	if (strlen(text) != len)
		return err_set(err, EINVAL, "%s: has a zero byte; it is to be a text", name);
	r = toolsconf_parse(name, text, c, faults);
	if (r < 0)
		err_set(err, EINVAL, "%s", faults->count ? faults->lines[0] : name);
	toolsconf_forget(&own);
	return r;
}

int toolsconf_load(const char *path, struct toolsconf *c)
{
	struct toolsconf_faults faults = {0};
	struct err err = {0};
	int r = toolsconf_read(path, c, &faults, &err);

	for (size_t i = 0; i < faults.count; i++)
		log_error("%s", faults.lines[i]);
	if (r < 0 && faults.count == 0)
		log_error("%s", err.text);
	toolsconf_forget(&faults);
	return r;
}

void toolsconf_free(struct toolsconf *c)
{
	key_free_all(&toolsconf_keys, c);
}

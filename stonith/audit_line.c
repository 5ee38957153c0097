/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form of a line; see audit_line.h. It is written by hand and not by jansson, which takes
 * memory for that: a shot under memory pressure must leave its line. Reading is strict: the same
 * fields in the same order, then an object that ends where the line ends.
 */
#include "audit_line.h"

#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 8, HASH_LEN = AUDIT_HASH_ROOM - 1, DIGITS_MAX = 19 };

/* Writing. */

struct out {
	char *at;
	size_t len, room;
	bool full;
};

static void put_bytes(struct out *o, const char *bytes, size_t len)
{
	if (o->full || len > o->room - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->at + o->len, bytes, len);
	o->len += len;
}

static void put_text(struct out *o, const char *text)
{
	put_bytes(o, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_bytes(o, text, MIN_OF((size_t)n, sizeof(text) - 1));
}

/* As much of TEXT as a line may have, and no half character. */
static size_t cut(const char *text, size_t len)
{
	if (len <= AUDIT_TEXT_MAX)
		return len;
	for (len = AUDIT_TEXT_MAX; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

static void put_string(struct out *o, const char *text, size_t len)
{
	size_t shown = cut(text, len);

	put_text(o, "\"");
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			put(o, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			put(o, "\\u%04x", c);
		else
			put_bytes(o, text + i, 1);
	}
	put_text(o, shown < len ? "...\"" : "\"");
}

static void put_value(struct out *o, const json_t *v, unsigned depth);

/* Members with a comma before each, for there is something in front of an entry's. */
static void put_members(struct out *o, const json_t *object, bool first, unsigned depth)
{
	/* The iterator is not const, but it changes nothing. */
	json_t *j = (json_t *)(uintptr_t)object;

	for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i)) {
		const char *key = json_object_iter_key(i);

		if (!first)
			put_text(o, ",");
		first = false;
		put_string(o, key, strlen(key));
		put_text(o, ":");
		put_value(o, json_object_iter_value(i), depth);
	}
}

/* Nobody has one to say; as a whole number, so that no locale's comma can come in. */
static void put_real(struct out *o, double x)
{
	if (x > -1e15 && x < 1e15)
		put(o, "%lld", (long long)x);
	else
		put_text(o, "null");
}

static void put_array(struct out *o, const json_t *array, unsigned depth)
{
	put_text(o, "[");
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (i)
			put_text(o, ",");
		put_value(o, json_array_get(array, i), depth);
	}
	put_text(o, "]");
}

static void put_value(struct out *o, const json_t *v, unsigned depth)
{
	if (json_is_string(v)) {
		put_string(o, json_string_value(v), json_string_length(v));
	} else if (json_is_integer(v)) {
		put(o, "%lld", (long long)json_integer_value(v));
	} else if (json_is_real(v)) {
		put_real(o, json_real_value(v));
	} else if (json_is_boolean(v)) {
		put_text(o, json_is_true(v) ? "true" : "false");
	} else if (json_is_array(v) && depth < DEPTH_MAX) {
		put_array(o, v, depth + 1);
	} else if (json_is_object(v) && depth < DEPTH_MAX) {
		put_text(o, "{");
		put_members(o, v, true, depth + 1);
		put_text(o, "}");
	} else {
		put_text(o, "null");
	}
}

static void put_fields(struct out *o, const struct audit_fields *f)
{
	put(o, "{\"seq\":%llu,\"prev\":\"%s\",", (unsigned long long)f->seq, f->prev);
	if (f->torn)
		put(o, "\"torn\":%llu,\"torn-sha256\":\"%s\",", (unsigned long long)f->torn,
			f->torn_sha256);
	if (f->lost)
		put(o, "\"lost\":%llu,", (unsigned long long)f->lost);
	if (f->continues)
		put_text(o, "\"continues\":true,");
}

static void put_stamp(struct out *o, const struct audit_stamp *s)
{
	time_t seconds = (time_t)(s->time_ms / 1000);
	char text[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(text, sizeof(text), "?");
	put(o, "\"time\":\"%s.%03uZ\",\"boot-ms\":%llu,\"host\":", text,
		(unsigned)(s->time_ms % 1000), (unsigned long long)s->boot_ms);
	put_string(o, s->host, strlen(s->host));
}

const char *audit_line_reserved(const json_t *entry)
{
	static const char *const names[] = {"seq", "prev", "torn", "torn-sha256", "lost",
		"continues", "time", "boot-ms", "host"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (json_object_get(entry, names[i]))
			return names[i];
	}
	return "";
}

size_t audit_line_put(char *out, size_t room, const struct audit_fields *fields,
	const struct audit_stamp *stamp, const json_t *entry)
{
	struct out o = {.at = out, .room = room};

	put_fields(&o, fields);
	put_stamp(&o, stamp);
	put_members(&o, entry, false, 0);
	put_text(&o, "}");
	return o.full ? 0 : o.len;
}

/* Reading. */

struct in {
	const char *at, *end;
};

static bool take_text(struct in *in, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(in->end - in->at) < len || memcmp(in->at, text, len) != 0)
		return false;
	in->at += len;
	return true;
}

static bool take_number(struct in *in, uint64_t *ret)
{
	const char *from = in->at;
	uint64_t n = 0;

	for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
		if (in->at - from == DIGITS_MAX)
			return false;
		n = n * 10 + (uint64_t)(*in->at - '0');
	}
	*ret = n;
	/* As it would be written: from 1, without zeros in front. */
	return in->at > from && *from != '0';
}

static bool take_hash(struct in *in, char ret[AUDIT_HASH_ROOM])
{
	if (in->end - in->at < HASH_LEN)
		return false;
	for (int i = 0; i < HASH_LEN; i++) {
		char c = in->at[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		ret[i] = c;
	}
	ret[HASH_LEN] = 0;
	in->at += HASH_LEN;
	return true;
}

static bool take_fields(struct in *in, struct audit_fields *f)
{
	if (!take_text(in, "{\"seq\":") || !take_number(in, &f->seq) ||
		!take_text(in, ",\"prev\":\"") || !take_hash(in, f->prev) || !take_text(in, "\","))
		return false;
	if (take_text(in, "\"torn\":") &&
		(!take_number(in, &f->torn) || !take_text(in, ",\"torn-sha256\":\"") ||
			!take_hash(in, f->torn_sha256) || !take_text(in, "\",")))
		return false;
	if (take_text(in, "\"lost\":") && (!take_number(in, &f->lost) || !take_text(in, ",")))
		return false;
	f->continues = take_text(in, "\"continues\":true,");
	return take_text(in, "\"time\":\"");
}

/* Does the object, whose first '{' and one '"' more were taken, end exactly at the end? */
static bool ends_here(const struct in *in)
{
	unsigned depth = 1;
	bool inside = true; /* of a text */

	for (const char *c = in->at; c < in->end; c++) {
		if ((unsigned char)*c < ' ')
			return false;
		if (inside && *c == '\\')
			c++;
		else if (*c == '"')
			inside = !inside;
		else if (!inside && (*c == '{' || *c == '['))
			depth++;
		else if (!inside && (*c == '}' || *c == ']') && --depth == 0)
			return *c == '}' && c + 1 == in->end;
	}
	return false;
}

bool audit_line_parse(const char *line, size_t len, struct audit_fields *ret)
{
	struct in in = {line, line + len};
	struct audit_fields f = {0};

	if (!take_fields(&in, &f) || !ends_here(&in))
		return false;
	*ret = f;
	return true;
}

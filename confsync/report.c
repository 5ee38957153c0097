/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for numbers; see report.h. Times are those of the local zone, as in ls(1); ages come from a
 * clock that nobody sets. Nothing foreign reaches a terminal but by report_line().
 */
#include "report.h"

#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, PIECE = 1000 };

void report_json(json_t *document)
{
	if (document && json_dumpf(document, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	json_decref(document);
}

json_t *report_hash(const uint8_t hash[MANIFEST_HASH])
{
	char hex[MANIFEST_HEX];

	if (hash_is_zero(hash))
		return json_null();
	hash_to_hex(hash, hex);
	return json_string(hex);
}

json_t *report_text(const char *text)
{
	char shown[4096];

	if (!text || !*text)
		return json_null();
	str_printable(shown, sizeof(shown), text, strlen(text));
	return json_string(shown);
}

void report_short(const uint8_t hash[MANIFEST_HASH], char ret[REPORT_SHORT])
{
	char hex[MANIFEST_HEX];

	hash_to_hex(hash, hex);
	snprintf(ret, REPORT_SHORT, "%.8s", hex);
}

void report_size(uint64_t bytes, char ret[REPORT_TEXT])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		report_count(bytes, "byte", ret);
		return;
	}
	for (; n >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
		n /= 1024;
	snprintf(ret, REPORT_TEXT, "%.1f %s", n, units[unit]);
}

void report_count(uint64_t n, const char *what, char ret[REPORT_TEXT])
{
	snprintf(ret, REPORT_TEXT, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

void report_time(int64_t time, char ret[REPORT_TEXT])
{
	time_t t = (time_t)time;
	struct tm tm;

	if (time <= 0 || !localtime_r(&t, &tm) ||
		strftime(ret, REPORT_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(ret, REPORT_TEXT, "?");
}

int64_t report_age(const struct state_peer *p)
{
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_BOOTTIME, &t);
	now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	return p->boottime && p->boottime <= now ? (int64_t)((now - p->boottime) / 1000) : -1;
}

void report_seen(const struct state_peer *p, char ret[REPORT_TEXT])
{
	int64_t age = report_age(p);

	if (!p->time)
		snprintf(ret, REPORT_TEXT, "never");
	else if (age < 0)
		report_time(p->time, ret);
	else if (age < 2 * MINUTE)
		snprintf(ret, REPORT_TEXT, "%lld s ago", (long long)age);
	else if (age < 2 * HOUR)
		snprintf(ret, REPORT_TEXT, "%lld min ago", (long long)age / MINUTE);
	else if (age < 2 * DAY)
		snprintf(ret, REPORT_TEXT, "%lld h ago", (long long)age / HOUR);
	else
		snprintf(ret, REPORT_TEXT, "%lld days ago", (long long)age / DAY);
}

/* In pieces that never end within a character, as str_printable() cuts nothing off. */
static size_t piece_of(const char *text, size_t len)
{
	const char *tab = memchr(text, '\t', len);
	size_t n = tab ? (size_t)(tab - text) : len;

	if (n <= PIECE)
		return n;
	for (n = PIECE; n > PIECE - 4 && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

void report_line(const char *text, size_t len)
{
	char shown[4 * PIECE + 2];

	while (len) {
		size_t n = piece_of(text, len);

		str_printable(shown, sizeof(shown), text, n);
		fputs(shown, stdout);
		text += n;
		len -= n;
		if (len && *text == '\t') {
			putchar('\t');
			text++;
			len--;
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patterns of targets; see naming.h. Called with patterns from the configuration, when it is read
 * and for each copy; what is put in has no percent sign that would be looked at again. No globals.
 */
#include "naming.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of a URI that is a target, what is behind '?' is no part of the path. */
static const char *end_of_path(const char *pattern)
{
	bool is_uri = strncmp(pattern, "nbd", 3) == 0;

	return pattern + strcspn(pattern, is_uri ? "?" : "");
}

static int check_letter(
	const char *pattern, const char *at, enum naming_kind *kind, struct err *err)
{
	if (!at[1] || !strchr("vltn%", at[1]))
		return err_set(err, EINVAL,
			"'%.2s': must be %%v, %%l, %%t, %%n or, for a percent sign, %%%%", at);
	if (at[1] != 't' && at[1] != 'n')
		return 0;
	if (*kind != NAMING_FIXED)
		return err_set(err, EINVAL, "there is to be one %%t or %%n, and not more");
	if (at > end_of_path(pattern))
		return err_set(err, EINVAL, "%.2s must stand in the path, not behind '?'", at);
	if (memchr(at, '/', (size_t)(end_of_path(pattern) - at)))
		return err_set(err, EINVAL,
			"%.2s must stand in the last part of the path, not in '%.100s'", at,
			pattern);
	*kind = at[1] == 't' ? NAMING_TIMED : NAMING_TURNED;
	return 0;
}

int naming_check(const char *pattern, enum naming_kind *ret, struct err *err)
{
	enum naming_kind kind = NAMING_FIXED;
	int r = 0;

	for (const char *p = pattern; r == 0 && (p = strchr(p, '%')); p += 2)
		r = check_letter(pattern, p, &kind, err);
	if (r == 0)
		*ret = kind;
	return r;
}

void naming_time(uint64_t seconds, char out[NAMING_TIME_ROOM])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds > 253402300799 || !gmtime_r(&t, &tm) || /* the year 9999 */
		strftime(out, NAMING_TIME_ROOM, "%Y%m%dT%H%M%SZ", &tm) == 0)
		strcpy(out, "00000000T000000Z");
}

const char *naming_source(const char *source)
{
	size_t len = strlen(source);

	while (len > 0 && source[len - 1] != '/' && source[len - 1] != ':')
		len--;
	return source + len;
}

int naming_expand(const char *pattern, const struct naming_values *v, char out[NAMING_TEXT_MAX],
	struct err *err)
{
	char text[NAMING_TEXT_MAX], time[NAMING_TIME_ROOM], slot[16];
	size_t used = 0;

	naming_time(v->time, time);
	snprintf(slot, sizeof(slot), "%u", v->slot);
	for (const char *p = pattern; *p; p++) {
		const char letter[2] = {p[*p == '%'], 0};
		const char *part = *p != '%' ? letter
			: letter[0] == 'v'   ? v->volume
			: letter[0] == 'l'   ? v->source
			: letter[0] == 't'   ? time
			: letter[0] == 'n'   ? slot
					     : letter;
		size_t len = strlen(part);

		if (used + len >= sizeof(text))
			return err_set(err, ENAMETOOLONG,
				"%.100s...: the name of the copy is too long", pattern);
		memcpy(text + used, part, len);
		used += len;
		p += *p == '%';
	}
	memcpy(out, text, used);
	out[used] = 0;
	return 0;
}

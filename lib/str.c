/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text helpers, all pure; see str.h. */
#include "str.h"

#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Reads digits from *P; -EINVAL without any, -ERANGE above 2^64 - 1. */
static int digits(const char **p, uint64_t *ret)
{
	uint64_t n = 0;
	const char *s = *p;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return -ERANGE;
	}
	*p = s;
	*ret = n;
	return 0;
}

int str_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	int r = digits(&text, &n);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (n < min || n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

static unsigned unit_shift(char unit)
{
	static const char units[] = "KMGT";
	const char *at = strchr(units, toupper((unsigned char)unit));

	return at ? 10 * (unsigned)(at - units + 1) : 0;
}

int str_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	unsigned shift = 0;
	int r = digits(&text, &n);

	if (r < 0)
		return r;
	if (*text) {
		shift = unit_shift(*text);
		if (!shift || text[1])
			return -EINVAL;
	}
	if (shift && n > (UINT64_MAX >> shift))
		return -ERANGE;
	n <<= shift;
	if (n < min || n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

/* Bytes of the UTF-8 character at P, 0 if it is none. */
static size_t utf8_char(const unsigned char *p, size_t len)
{
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
		(n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return n;
}

bool str_is_utf8(const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;

	while (len > 0) {
		size_t n = utf8_char(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* C0, DEL and, as two bytes, C1 controls. */
static bool is_control(const unsigned char *p, size_t n)
{
	return (n == 1 && (*p < 0x20 || *p == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void str_printable(char *out, size_t room, const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;
	size_t used = 0;

	while (len > 0) {
		size_t n = utf8_char(p, len);
		bool plain = n > 0 && !is_control(p, n);
		size_t take = plain ? n : 1, need = plain ? n : 4;

		if (used + need >= room)
			break;
		if (plain)
			memcpy(out + used, p, n);
		else
			snprintf(out + used, room - used, "\\x%02x", *p);
		used += need;
		p += take;
		len -= take;
	}
	out[used] = 0;
}

bool str_uri_escape(char *out, size_t room, const char *text)
{
	size_t used = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = isascii(c) && (isalnum(c) || strchr("-._~/", c));
		size_t need = plain ? 1 : 3;

		if (used + need >= room)
			return false;
		if (plain)
			out[used] = (char)c;
		else
			snprintf(out + used, room - used, "%%%02X", c);
		used += need;
	}
	out[used] = 0;
	return true;
}

const char *str_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Row by row (Wagner and Fischer): ROW[i] is the distance of B's first characters to A's first I.
 */
size_t str_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[STR_DISTANCE_MAX + 1];

	if (a_len > STR_DISTANCE_MAX || b_len > STR_DISTANCE_MAX)
		return STR_DISTANCE_MAX;
	for (size_t i = 0; i <= a_len; i++)
		row[i] = i;
	for (size_t j = 1; j <= b_len; j++) {
		size_t corner = row[0];

		row[0] = j;
		for (size_t i = 1; i <= a_len; i++) {
			size_t changed = corner + (a[i - 1] != b[j - 1]);

			corner = row[i];
			row[i] = MIN_OF(changed, MIN_OF(row[i], row[i - 1]) + 1);
		}
	}
	return row[a_len];
}

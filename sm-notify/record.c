/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitor records, byte by byte; see record.h. Everything here may be hostile: rpc.statd writes
 * what strangers tell it, and folders are shared by programs of several makers. Nothing is read
 * beyond the length given, nothing is decoded by the C library but addresses.
 */
#include "record.h"

#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

enum { WORD_DIGITS = 8 };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* COUNT digits and a blank; the value of the last eight. */
static bool hex_field(const char *p, size_t count, uint32_t *ret)
{
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return false;
		n = n << 4 | (uint32_t)digit;
	}
	*ret = n;
	return p[count] == ' ';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes a word from *P; false if it is empty, too long, or has a control character. */
static bool take_word(const char **p, const char *end, const char **ret, size_t *ret_len)
{
	const char *word = *p, *s = word;

	for (; s < end && !is_blank(*s); s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	}
	*ret = word;
	*ret_len = (size_t)(s - word);
	while (s < end && is_blank(*s))
		s++;
	*p = s;
	return *ret_len > 0 && *ret_len <= RECORD_TEXT_MAX;
}

static size_t trimmed(const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	while (len > 0 && is_blank(line[len - 1]))
		len--;
	return len;
}

static int refuse(const char **ret_why, const char *why)
{
	if (ret_why)
		*ret_why = why;
	return -EINVAL;
}

int record_parse(const char *line, size_t len, struct record *ret, const char **ret_why)
{
	const char *p = line + RECORD_NAMES_AT, *end;
	struct record r;
	uint32_t ignored;

	len = trimmed(line, len);
	if (len < RECORD_NAMES_AT)
		return refuse(ret_why, "too short");
	if (!hex_field(line, WORD_DIGITS, &ignored) ||
		!hex_field(line + 9, WORD_DIGITS, &r.program) ||
		!hex_field(line + 18, WORD_DIGITS, &r.version) ||
		!hex_field(line + 27, WORD_DIGITS, &r.procedure) ||
		!hex_field(line + 36, RECORD_COOKIE_DIGITS, &ignored))
		return refuse(ret_why, "the numbers at its start are not as they should be");
	end = line + len;
	r.cookie = line + 36;
	if (!take_word(&p, end, &r.mon, &r.mon_len))
		return refuse(ret_why, "mon_name is missing, too long or unprintable");
	if (!take_word(&p, end, &r.my, &r.my_len))
		return refuse(ret_why, "my_name is missing, too long or unprintable");
	if (p != end)
		return refuse(ret_why, "something behind my_name");
	*ret = r;
	return 0;
}

bool record_is_blank(const char *line, size_t len)
{
	return trimmed(line, len) == 0;
}

static bool is_word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '-' || c == '_' || c == '.';
}

static bool is_scope(const char *p)
{
	size_t len = strlen(p);

	for (size_t i = 0; i < len; i++) {
		if (!is_word_char(p[i]))
			return false;
	}
	return len > 0 && len < IF_NAMESIZE;
}

/* IPv6, perhaps with %scope. */
static bool is_ipv6(const char *text)
{
	const char *percent = strchr(text, '%');
	size_t len = percent ? (size_t)(percent - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ignored;

	if (len >= sizeof(address) || (percent && !is_scope(percent + 1)))
		return false;
	memcpy(address, text, len);
	address[len] = 0;
	return inet_pton(AF_INET6, address, &ignored) == 1;
}

bool record_is_address(const char *text)
{
	return (*text && strspn(text, "0123456789.") == strlen(text)) || is_ipv6(text);
}

/* Of valid UTF-8: a control character beyond ASCII (C1). */
static bool is_control(const char *p)
{
	return (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0;
}

bool record_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (is_ipv6(name))
		return true;
	if (len == 0 || len > RECORD_NAME_MAX || *name == '.' || *name == '-' ||
		!str_is_utf8(name, len))
		return false;
	for (const char *p = name; *p; p++) {
		if ((unsigned char)*p < 0x80 ? !is_word_char(*p) : is_control(p))
			return false;
	}
	return true;
}

unsigned record_names(const char *my, size_t ret_lengths[2])
{
	const char *dot = strchr(my, '.');

	ret_lengths[0] = strlen(my);
	ret_lengths[1] = dot ? (size_t)(dot - my) : 0;
	return dot && dot > my && !record_is_address(my) ? 2 : 1;
}

bool record_temporary_of(const char *name, char ret[RECORD_NAME_MAX + 1])
{
	const char *base = name + (*name == '.');
	size_t len = strlen(base), tail = strlen(".new");
	char text[RECORD_NAME_MAX + 1];

	if (len <= tail || len - tail > RECORD_NAME_MAX || strcmp(base + len - tail, ".new") != 0)
		return false;
	memcpy(text, base, len - tail);
	text[len - tail] = 0;
	if (!record_name_is_valid(text))
		return false;
	memcpy(ret, text, len - tail + 1);
	return true;
}

bool record_looks_temporary(const char *name)
{
	char base[RECORD_NAME_MAX + 1];

	if (!record_temporary_of(name, base))
		return false;
	return *name == '.' || !strchr(base, '.') || record_is_address(base);
}

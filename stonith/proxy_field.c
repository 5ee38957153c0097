/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of a line, one at a time from left to right. Each has one form only, but for numbers,
 * which may begin with zeros; a second space between fields makes an empty one, which none may be.
 */
#include "proxy_field.h"

#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

void proxy_field_put_hash(char out[PROXY_FIELD_HASH_TEXT], const uint8_t bytes[PROXY_FIELD_HASH])
{
	for (size_t i = 0; i < PROXY_FIELD_HASH; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(const char *text, uint8_t ret[PROXY_FIELD_HASH])
{
	uint8_t bytes[PROXY_FIELD_HASH];

	if (strlen(text) != 2 * PROXY_FIELD_HASH)
		return false;
	for (size_t i = 0; i < PROXY_FIELD_HASH; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, bytes, sizeof(bytes));
	return true;
}

bool proxy_field_word(const char **p, char *ret, size_t room)
{
	const char *end = strchrnul(*p, ' ');
	size_t len = (size_t)(end - *p);

	if (len == 0 || len >= room)
		return false;
	memcpy(ret, *p, len);
	ret[len] = 0;
	*p = *end ? end + 1 : end;
	return true;
}

bool proxy_field_is(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len) != 0 || ((*p)[len] && (*p)[len] != ' '))
		return false;
	*p += len + ((*p)[len] == ' ');
	return true;
}

bool proxy_field_number(const char **p, uint64_t max, uint64_t *ret)
{
	char word[24];

	return proxy_field_word(p, word, sizeof(word)) && str_number(word, 0, max, ret) == 0;
}

bool proxy_field_value(const char **p, int32_t *ret)
{
	uint64_t n;
	bool minus = **p == '-';

	if (minus)
		++*p;
	if (!proxy_field_number(p, minus ? (uint64_t)INT32_MAX + 1 : INT32_MAX, &n))
		return false;
	*ret = (int32_t)(minus ? -(int64_t)n : (int64_t)n);
	return true;
}

bool proxy_field_choice(const char **p, unsigned max, unsigned *ret)
{
	uint64_t n;

	if (!proxy_field_number(p, max, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

bool proxy_field_flag(const char **p, bool *ret)
{
	unsigned n;

	if (!proxy_field_choice(p, 1, &n))
		return false;
	*ret = n;
	return true;
}

bool proxy_field_hash(const char **p, uint8_t ret[PROXY_FIELD_HASH])
{
	char word[2 * PROXY_FIELD_HASH + 1];

	return proxy_field_word(p, word, sizeof(word)) && take_hex(word, ret);
}

bool proxy_field_text(const char **p, char *ret, size_t room)
{
	size_t len = strlen(*p);

	if (len >= room || !str_is_utf8(*p, len))
		return false;
	memcpy(ret, *p, len + 1);
	*p += len;
	return true;
}

void proxy_field_put_text(char *out, size_t room, const char *text)
{
	str_printable(out, room, text, strlen(text));
}

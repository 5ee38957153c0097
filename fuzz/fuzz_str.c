/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from strangers. The first byte is the room for the printable form; the rest is the text,
 * also read as a size, a number and a path.
 */
#include "fuzz.h"

#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_printable(const char *text, size_t len, size_t room)
{
	char *out = malloc(room);

	REQUIRE(out);
	str_printable(out, room, text, len);
	REQUIRE(strnlen(out, room) < room);
	REQUIRE(str_is_utf8(out, strlen(out)));
	for (const char *p = out; *p; p++)
		REQUIRE((unsigned char)*p >= 0x20 && *p != 0x7f);
	free(out);
}

static void check_numbers(const char *text)
{
	uint64_t number = 77, size = 77;
	int r = str_number(text, 5, 1ULL << 50, &number);
	int s = str_size(text, 5, 1ULL << 50, &size);

	REQUIRE(r == 0 || r == -EINVAL || r == -ERANGE);
	REQUIRE(s == 0 || s == -EINVAL || s == -ERANGE);
	REQUIRE(r == 0 ? number >= 5 && number <= 1ULL << 50 : number == 77);
	REQUIRE(s == 0 ? size >= 5 && size <= 1ULL << 50 : size == 77);
	REQUIRE(r != 0 || (s == 0 && size == number)); /* every number is a size */
}

static void check_uri(const char *text, size_t room)
{
	char *out = malloc(room);

	REQUIRE(out);
	if (str_uri_escape(out, room, text)) {
		REQUIRE(strlen(out) < room && strlen(out) >= strlen(text));
		REQUIRE(strspn(out,
				"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789-._~/%") == strlen(out));
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size ? 1 + (size_t)data[0] : 1;
	char *text = malloc(size + 1);

	REQUIRE(text);
	memcpy(text, data + (size > 0), size - (size > 0));
	text[size - (size > 0)] = 0;
	check_printable(text, size - (size > 0), room);
	check_numbers(text);
	check_uri(text, room);
	REQUIRE(!strchr(str_base_name(text), '/'));
	free(text);
	return 0;
}

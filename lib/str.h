/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text: numbers and sizes with units, printable forms of foreign bytes, UTF-8, URI escapes. */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal number without sign, space or tail, in [min, max]. Returns 0, -EINVAL or -ERANGE. */
int str_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* As str_number, with an optional unit K, M, G or T (powers of 1024, either case). */
int str_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/*
 * Writes BYTES as one printable line of at most ROOM - 1 bytes: valid UTF-8 stays, control and
 * invalid bytes become \xNN. Always terminated, never cut inside an escape or a character.
 */
void str_printable(char *out, size_t room, const char *bytes, size_t len);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool str_is_utf8(const char *bytes, size_t len);

/* RFC 3986: everything but unreserved characters and '/' becomes %NN. Returns false if it does not
 * fit. */
bool str_uri_escape(char *out, size_t room, const char *text);

/*
 * How many characters must be changed, added or left out to make A of B: for "did you mean". Of
 * texts longer than STR_DISTANCE_MAX it is that.
 */
enum { STR_DISTANCE_MAX = 64 };
size_t str_distance(const char *a, size_t a_len, const char *b, size_t b_len);

/* The part behind the last '/'; "" for a path that ends in one. */
const char *str_base_name(const char *path);

#endif

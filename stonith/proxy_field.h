/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of the lines of proxy_wire.h: words with one space between. Those that read take what they
 * want from *P and move it behind, or say false. Pure.
 */
#ifndef STONITH_PROXY_FIELD_H
#define STONITH_PROXY_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROXY_FIELD_HASH = 32, PROXY_FIELD_HASH_TEXT = 2 * PROXY_FIELD_HASH + 1 };

/* Of 1 to ROOM - 1 bytes. */
bool proxy_field_word(const char **p, char *ret, size_t room);
/* Is the next one WORD? */
bool proxy_field_is(const char **p, const char *word);
bool proxy_field_number(const char **p, uint64_t max, uint64_t *ret);
bool proxy_field_value(const char **p, int32_t *ret);
bool proxy_field_choice(const char **p, unsigned max, unsigned *ret);
/* 0 or 1. */
bool proxy_field_flag(const char **p, bool *ret);
/* 64 hexadecimal digits, small ones. */
bool proxy_field_hash(const char **p, uint8_t ret[PROXY_FIELD_HASH]);
/* All that is left: UTF-8, may be empty. */
bool proxy_field_text(const char **p, char *ret, size_t room);

void proxy_field_put_hash(char out[PROXY_FIELD_HASH_TEXT], const uint8_t bytes[PROXY_FIELD_HASH]);
/* One printable line, cut where it is too long. */
void proxy_field_put_text(char *out, size_t room, const char *text);

#endif

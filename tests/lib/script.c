/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds the client's bytes of a handshake from text; see script.h. A faulty script is a fault of
 * the test, so it ends the program.
 */
#include "script.h"

#include "check.h"
#include "nbd.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 512, PAYLOAD_MAX = 32 * 1024 * 1024 };

static const struct {
	uint32_t option;
	const char *word;
} words[] = {
	{NBD_OPT_EXPORT_NAME, "name"},
	{NBD_OPT_ABORT, "abort"},
	{NBD_OPT_LIST, "list"},
	{NBD_OPT_STARTTLS, "starttls"},
	{NBD_OPT_INFO, "info"},
	{NBD_OPT_GO, "go"},
	{NBD_OPT_STRUCTURED_REPLY, "sr"},
	{NBD_OPT_LIST_META_CONTEXT, "lm"},
	{NBD_OPT_SET_META_CONTEXT, "set"},
	{NBD_OPT_EXTENDED_HEADERS, "ext"},
};

const char *script_option_word(uint32_t option)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (words[i].option == option)
			return words[i].word;
	}
	return NULL;
}

static uint32_t option_number(const char *word)
{
	unsigned number;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i].word, word) == 0)
			return words[i].option;
	}
	if (sscanf(word, "opt%u", &number) == 1)
		return number;
	fprintf(stderr, "script: '%s'?\n", word);
	abort();
}

void script_header(struct buf *out, uint32_t option, uint32_t len)
{
	buf_put_u64(out, NBD_MAGIC_OPTION);
	buf_put_u32(out, option);
	buf_put_u32(out, len);
}

void script_option(struct buf *out, uint32_t option, const void *payload, size_t len)
{
	script_header(out, option, (uint32_t)len);
	buf_put(out, payload, len);
}

/* NAME as it is sent: ~N and ^ replaced. */
static void put_text(struct buf *b, const char *text)
{
	if (*text == '~') {
		for (unsigned long n = strtoul(text + 1, NULL, 10); n > 0; n--)
			buf_put(b, "n", 1);
		return;
	}
	for (; *text; text++)
		buf_put(b, *text == '^' ? "" : text, 1);
}

static void put_string(struct buf *b, const char *text)
{
	struct buf s;

	buf_init(&s, PAYLOAD_MAX);
	put_text(&s, text);
	buf_put_u32(b, (uint32_t)buf_len(&s));
	buf_put(b, buf_bytes(&s), buf_len(&s));
	buf_done(&s);
}

static size_t count_args(const char *args)
{
	size_t n = 0;

	for (; args; n++) {
		args = strchr(args, ',');
		args = args ? args + 1 : NULL;
	}
	return n;
}

/* Cuts the first argument off; *ARGS becomes NULL behind the last. */
static char *next_arg(char **args)
{
	char *arg = *args, *comma = arg ? strchr(arg, ',') : NULL;

	if (comma)
		*comma = 0;
	*args = comma ? comma + 1 : NULL;
	return arg;
}

static void put_payload(struct buf *b, uint32_t option, char *args)
{
	bool meta = option == NBD_OPT_LIST_META_CONTEXT || option == NBD_OPT_SET_META_CONTEXT;
	char *name = next_arg(&args), *arg;

	if (!name)
		return;
	if (option == NBD_OPT_EXPORT_NAME) {
		put_text(b, name);
		return;
	}
	put_string(b, name);
	if (meta)
		buf_put_u32(b, (uint32_t)count_args(args));
	else
		buf_put_u16(b, (uint16_t)count_args(args));
	while ((arg = next_arg(&args))) {
		if (meta)
			put_string(b, arg);
		else
			buf_put_u16(b, (uint16_t)strtoul(arg, NULL, 10));
	}
}

static void put_hex(struct buf *out, const char *hex)
{
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		buf_put(out, &(uint8_t){(uint8_t)byte}, 1);
}

static void put_option(struct buf *out, char *word)
{
	char *sign = strpbrk(word, "+-"), *args;
	long more = sign ? strtol(sign, NULL, 10) : 0;
	struct buf b;
	uint32_t option;
	size_t len;

	if (sign)
		*sign = 0;
	args = strchr(word, ':');
	if (args)
		*args++ = 0;
	option = option_number(word);
	buf_init(&b, PAYLOAD_MAX);
	put_payload(&b, option, args);
	if (more > 0)
		buf_put_zeros(&b, (size_t)more);
	len = buf_len(&b) - (size_t)(more < 0 ? -more : 0);
	CHECK(!buf_failed(&b) && len <= buf_len(&b));
	script_option(out, option, buf_bytes(&b), len);
	buf_done(&b);
}

void script_bytes(const char *text, struct buf *out)
{
	while (*text) {
		size_t len = strcspn(text, " ");
		char word[WORD_MAX];

		CHECK(len < sizeof(word));
		memcpy(word, text, len);
		word[len] = 0;
		if (strncmp(word, "hex:", 4) == 0)
			put_hex(out, word + 4);
		else if (*word == 'f')
			buf_put_u32(out, (uint32_t)strtoul(word + 1, NULL, 16));
		else if (*word)
			put_option(out, word);
		text += len + (text[len] == ' ');
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A strict reader of option replies, written apart from the code under test; see render.h. */
#include "render.h"

#include "check.h"

#include "nbd.h"
#include "script.h"
#include "str.h"
#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REPLY_BYTES = 20, LEGACY_BYTES = 10, LEGACY_ZEROS = 124 };

static const struct {
	uint32_t type;
	const char *word;
} errors[] = {
	{NBD_REP_ERR_UNSUP, "UNSUP"},
	{NBD_REP_ERR_POLICY, "POLICY"},
	{NBD_REP_ERR_INVALID, "INVALID"},
	{NBD_REP_ERR_PLATFORM, "PLATFORM"},
	{NBD_REP_ERR_UNKNOWN, "UNKNOWN"},
	{NBD_REP_ERR_SHUTDOWN, "SHUTDOWN"},
	{NBD_REP_ERR_TOO_BIG, "TOO_BIG"},
	{NBD_REP_ERR_EXT_HEADER_REQD, "EXT_HEADER_REQD"},
};

static void put(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct buf *out, const char *fmt, ...)
{
	char text[3 * NBD_STRING_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_put(out, text, strlen(text));
}

static bool bad(struct buf *out, const char *what)
{
	put(out, "BAD(%s)", what);
	return false;
}

static bool put_server(struct buf *out, const uint8_t *p, size_t len)
{
	size_t name = len >= 4 ? get_u32(p) : SIZE_MAX;
	const char *text = (const char *)p + 4;

	if (len < 4 || name > len - 4 || !str_is_utf8(text, name) ||
		!str_is_utf8(text + name, len - 4 - name))
		return bad(out, "SERVER");
	put(out, "SERVER(%.*s", (int)name, text);
	if (len - 4 > name)
		put(out, "|%.*s", (int)(len - 4 - name), text + name);
	put(out, ")");
	return true;
}

static bool put_info(struct buf *out, const uint8_t *p, size_t len)
{
	unsigned type = len >= 2 ? get_u16(p) : 0xffff;

	if (type == NBD_INFO_EXPORT && len == 12)
		put(out, "EXPORT(%llu,%x)", (unsigned long long)get_u64(p + 2), get_u16(p + 10));
	else if (type == NBD_INFO_BLOCK_SIZE && len == 14)
		put(out, "BLOCK(%u,%u,%u)", get_u32(p + 2), get_u32(p + 6), get_u32(p + 10));
	else if ((type == NBD_INFO_NAME || type == NBD_INFO_DESCRIPTION) &&
		str_is_utf8((const char *)p + 2, len - 2))
		put(out, "%s(%.*s)", type == NBD_INFO_NAME ? "NAME" : "DESC", (int)len - 2, p + 2);
	else
		return bad(out, "INFO");
	return true;
}

static bool put_error(struct buf *out, uint32_t type, const uint8_t *p, size_t len)
{
	if (len == 0 || len > NBD_STRING_MAX || !str_is_utf8((const char *)p, len) ||
		memchr(p, 0, len))
		return bad(out, "text of an error");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		if (errors[i].type == type) {
			put(out, "%s", errors[i].word);
			return true;
		}
	}
	return bad(out, "reply type");
}

static bool put_reply(struct buf *out, uint32_t type, const uint8_t *p, size_t len)
{
	switch (type) {
	case NBD_REP_ACK:
		put(out, "ACK");
		return len == 0 || bad(out, "ACK with data");
	case NBD_REP_SERVER:
		return put_server(out, p, len);
	case NBD_REP_INFO:
		return put_info(out, p, len);
	case NBD_REP_META_CONTEXT:
		if (len <= 4)
			return bad(out, "META_CONTEXT");
		put(out, "CONTEXT(%u,%.*s)", get_u32(p), (int)len - 4, p + 4);
		return true;
	default:
		return put_error(out, type, p, len);
	}
}

/* The answer to EXPORT_NAME has no frame and is the last thing a server sends. */
static bool put_legacy(struct buf *out, const uint8_t *p, size_t len)
{
	static const uint8_t zeros[LEGACY_ZEROS];

	if (len != LEGACY_BYTES && len != LEGACY_BYTES + LEGACY_ZEROS)
		return bad(out, "neither reply nor answer to EXPORT_NAME");
	put(out, "name(%llu,%x%s)", (unsigned long long)get_u64(p), get_u16(p + 8),
		len > LEGACY_BYTES ? ",zeros" : "");
	return len == LEGACY_BYTES || memcmp(p + LEGACY_BYTES, zeros, LEGACY_ZEROS) == 0 ||
		bad(out, "zeros");
}

static bool put_all(const uint8_t *p, size_t len, struct buf *out)
{
	for (const char *space = ""; len > 0; space = " ") {
		const char *word;
		size_t data;

		put(out, "%s", space);
		if (len < REPLY_BYTES || get_u64(p) != NBD_MAGIC_OPTION_REPLY)
			return put_legacy(out, p, len);
		word = script_option_word(get_u32(p + 8));
		data = get_u32(p + 16);
		if (data > len - REPLY_BYTES)
			return bad(out, "length");
		if (word)
			put(out, "%s:", word);
		else
			put(out, "opt%u:", get_u32(p + 8));
		if (!put_reply(out, get_u32(p + 12), p + REPLY_BYTES, data))
			return false;
		p += REPLY_BYTES + data;
		len -= REPLY_BYTES + data;
	}
	return true;
}

bool render_replies(const uint8_t *p, size_t len, struct buf *out)
{
	bool ok = put_all(p, len, out);

	buf_put(out, "", 1);
	return ok;
}

void render_expect(const uint8_t *p, size_t len, const char *want)
{
	struct buf text;

	buf_init(&text, SIZE_MAX / 4);
	CHECK(render_replies(p, len, &text));
	if (strcmp((const char *)buf_bytes(&text), want) != 0)
		fprintf(stderr, " got: %s\nwant: %s\n", buf_bytes(&text), want);
	CHECK(strcmp((const char *)buf_bytes(&text), want) == 0);
	buf_done(&text);
}

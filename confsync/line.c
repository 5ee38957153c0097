/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of lines; see line.h. Whatever is taken is compared with the one form it may have: a digit
 * that could be left out, or an escape that need not be one, is a fault. That makes it safe to
 * compare digests of texts instead of what they mean.
 */
#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '%';
}

size_t line_escaped_len(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	size_t ret = len;

	for (size_t i = 0; i < len; i++)
		ret += is_plain(p[i]) ? 0 : 2;
	return ret;
}

void line_escape(const void *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		if (is_plain(p[i])) {
			*out++ = (char)p[i];
			continue;
		}
		*out++ = '%';
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that TEXT, after '%', stands for; -1: none, or one that is not escaped. */
static int escaped(const char *text, size_t len)
{
	int high, low;

	if (len < 2)
		return -1;
	high = digit(text[0]);
	low = digit(text[1]);
	if (high < 0 || low < 0 || is_plain((unsigned char)(high << 4 | low)))
		return -1;
	return high << 4 | low;
}

bool line_unescape(const char *text, size_t len, uint8_t *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			c = escaped(text + i + 1, len - i - 1);
			i += 2;
		} else if (!is_plain((unsigned char)c)) {
			return false;
		}
		if (c < 0)
			return false;
		out[n++] = (uint8_t)c;
	}
	*ret_len = n;
	return true;
}

/* Writing. */

static void put_escaped(struct buf *b, const void *bytes, size_t len)
{
	size_t need = line_escaped_len(bytes, len);
	uint8_t *p = buf_reserve(b, need);

	if (!p || need == 0)
		return;
	line_escape(bytes, len, (char *)p);
	buf_added(b, need);
}

void line_put_text(struct buf *b, const char *text)
{
	put_escaped(b, text, strlen(text));
}

void line_put_value(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		buf_put(b, "-", 1);
	else if (len == 1 && *(const char *)bytes == '-')
		buf_put(b, "%2D", 3);
	else
		put_escaped(b, bytes, len);
}

void line_put_number(struct buf *b, uint64_t n)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	buf_put(b, text + at, sizeof(text) - at);
}

/* Reading. */

void line_start(struct line_reader *r, const char *text, size_t len)
{
	*r = (struct line_reader){.next = text, .end = text + len};
}

int line_next(struct line_reader *r)
{
	const char *eol;

	if (r->next == r->end)
		return 0;
	r->number++;
	eol = memchr(r->next, '\n', (size_t)(r->end - r->next));
	if (!eol)
		return -EBADMSG;
	r->begin = r->at = r->next;
	r->eol = eol;
	r->next = eol + 1;
	return 1;
}

bool line_word(struct line_reader *r, const char **word, size_t *len)
{
	const char *from = r->at, *to;

	if (from != r->begin && (from == r->eol || *from++ != ' '))
		return false;
	to = memchr(from, ' ', (size_t)(r->eol - from));
	if (!to)
		to = r->eol;
	if (to == from)
		return false;
	*word = from;
	*len = (size_t)(to - from);
	r->at = to;
	return true;
}

bool line_is(struct line_reader *r, const char *word)
{
	struct line_reader before = *r;
	const char *is;
	size_t len;

	if (line_word(r, &is, &len) && len == strlen(word) && memcmp(is, word, len) == 0)
		return true;
	*r = before;
	return false;
}

bool line_number(struct line_reader *r, uint64_t max, uint64_t *ret)
{
	const char *word;
	uint64_t n = 0;
	size_t len;

	if (!line_word(r, &word, &len) || (*word == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(word[i] - '0'), &n))
			return false;
	}
	if (n > max)
		return false;
	*ret = n;
	return true;
}

/* The next field, malloc'd, with a zero behind it; at most MAX bytes. */
static int unescape_new(struct line_reader *r, size_t max, uint8_t **ret, size_t *ret_len)
{
	const char *word;
	uint8_t *p;
	size_t len;

	if (!line_word(r, &word, &len))
		return -EBADMSG;
	if (len / 3 > max)
		return -E2BIG; /* whatever it says */
	p = malloc(len + 1);
	if (!p)
		return -ENOMEM;
	if (!line_unescape(word, len, p, ret_len)) {
		free(p);
		return -EBADMSG;
	}
	if (*ret_len > max) {
		free(p);
		return -E2BIG;
	}
	p[*ret_len] = 0;
	*ret = p;
	return 0;
}

int line_text_new(struct line_reader *r, size_t max, char **ret)
{
	uint8_t *p;
	size_t len;
	int n = unescape_new(r, max, &p, &len);

	if (n < 0)
		return n;
	if (memchr(p, 0, len)) {
		free(p);
		return -EBADMSG;
	}
	*ret = (char *)p;
	return 0;
}

bool line_text(struct line_reader *r, char *out, size_t room)
{
	char *text;

	if (line_text_new(r, room - 1, &text) < 0)
		return false;
	memcpy(out, text, strlen(text) + 1);
	free(text);
	return true;
}

/* "-" for nothing, and "%2D" for it, which no other text has. */
static int special_value(struct line_reader *r, uint8_t **ret, size_t *ret_len)
{
	bool dash = line_is(r, "%2D");

	if (!dash && !line_is(r, "-"))
		return 0;
	*ret = calloc(1, 2);
	if (!*ret)
		return -ENOMEM;
	if (dash)
		**ret = '-';
	*ret_len = dash;
	return 1;
}

int line_value_new(struct line_reader *r, size_t max, uint8_t **ret, size_t *ret_len)
{
	int n = special_value(r, ret, ret_len);

	if (n != 0)
		return n < 0 ? n : 0;
	return unescape_new(r, max, ret, ret_len);
}

bool line_ended(const struct line_reader *r)
{
	return r->at == r->eol;
}

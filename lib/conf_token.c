/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One token at a time; see conf_token.h. Behind a text in quotes with a bad escape, or one that
 * does not end, libconfuse would begin the next file inside of quotes; it passes over * and + and
 * takes ${ up to the next }, whatever is between; it counts lines of comments twice. None of this
 * reaches it.
 */
#include "conf_token.h"

#include <stdbool.h>
#include <string.h>

static const char no_word[] = " #\"'\t\n\r={}()+,*";

static bool starts(const struct conf_scan *s, const char *token)
{
	size_t len = strlen(token);

	return s->len - s->at >= len && memcmp(s->text + s->at, token, len) == 0;
}

static void step(struct conf_scan *s, bool blank)
{
	if (s->text[s->at] == '\n')
		s->line++;
	else if (blank)
		s->text[s->at] = ' ';
	s->at++;
}

static void line_comment(struct conf_scan *s)
{
	while (s->at < s->len && s->text[s->at] != '\n')
		step(s, true);
}

static bool block_comment(struct conf_scan *s)
{
	step(s, true);
	step(s, true);
	while (s->at < s->len && !starts(s, "*/"))
		step(s, true);
	if (s->at == s->len)
		return false;
	step(s, true);
	step(s, true);
	return true;
}

/* Up to a token. NULL, or what is wrong with a comment that begins at RET. */
static const char *skip_blanks(struct conf_scan *s, struct conf_token *ret)
{
	while (s->at < s->len) {
		ret->begin = s->at;
		ret->line = s->line;
		if (s->text[s->at] == '#' || starts(s, "//"))
			line_comment(s);
		else if (!starts(s, "/*") && !strchr(" \t\r\n", s->text[s->at]))
			return NULL;
		else if (!starts(s, "/*"))
			step(s, false);
		else if (!block_comment(s))
			return "a comment begins here and does not end; */ is missing";
	}
	ret->begin = s->at;
	ret->line = s->line;
	return NULL;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

static bool is_hex(char c)
{
	return c && strchr("0123456789abcdefABCDEF", c);
}

static size_t count(const char *p, size_t max, bool (*fits)(char c))
{
	size_t n = 0;

	while (n < max && fits(p[n]))
		n++;
	return n;
}

/* P is behind the backslash and digits or an x follow; LEN bytes are left. Zero ends a text. */
static const char *check_number(const char *p, size_t len)
{
	bool hex = *p == 'x';
	size_t digits = hex ? count(p + 1, len - 1, is_hex) : count(p, len, is_octal);
	bool zero = true;

	if (hex)
		digits = digits > 2 ? 2 : digits;
	else if (digits == 0 || digits > 3 || (digits == 3 && *p > '3') ||
		(digits < len && (p[digits] == '8' || p[digits] == '9')))
		return "a backslash and digits: must be octal, \\1 to \\377; a backslash is \\\\";
	for (size_t i = 0; i < digits; i++)
		zero = zero && p[hex + i] == '0';
	return digits && zero ? "a text cannot contain a zero byte" : NULL;
}

/* In double quotes, at a backslash or a dollar that are not the last byte. */
static const char *check_escape(const struct conf_scan *s)
{
	const char *p = s->text + s->at;
	size_t left = s->len - s->at;

	if (*p == '\\' && (p[1] == 'x' || (p[1] >= '0' && p[1] <= '9')))
		return check_number(p + 1, left - 1);
	if (*p != '$' || p[1] != '{')
		return NULL;
	for (size_t i = 2; i < left && !strchr("\"\n", p[i]); i++) {
		if (p[i] == '}')
			return NULL;
	}
	return "${ begins here and does not end; } is missing, or write \\${";
}

static void quoted(struct conf_scan *s, struct conf_token *t)
{
	char quote = s->text[s->at];

	t->kind = CONF_QUOTED;
	step(s, false);
	while (s->at < s->len && s->text[s->at] != quote && s->text[s->at] != '\n') {
		if (!t->wrong && quote == '"' && s->at + 1 < s->len)
			t->wrong = check_escape(s);
		if (s->text[s->at] == '\\' && s->at + 1 < s->len && s->text[s->at + 1] != '\n')
			step(s, false);
		step(s, false);
	}
	if (s->at < s->len && s->text[s->at] == quote)
		step(s, false);
	else
		t->wrong = "a text begins here and does not end on this line; a quote is missing";
}

static void word(struct conf_scan *s, struct conf_token *t)
{
	t->kind = CONF_WORD;
	if (starts(s, "${"))
		t->wrong = "${NAME} is possible within double quotes only";
	while (s->at < s->len && s->text[s->at] && !strchr(no_word, s->text[s->at]))
		step(s, false);
}

void conf_scan_next(struct conf_scan *s, struct conf_token *ret)
{
	struct conf_token t = {.kind = CONF_END};
	char c;

	t.wrong = skip_blanks(s, &t);
	c = s->at < s->len ? s->text[s->at] : ' ';
	if (!t.wrong && s->at < s->len) {
		if (strchr("{}()=,", c)) {
			t.kind = CONF_SIGN;
			t.sign = c;
			step(s, false);
		} else if (c == '"' || c == '\'') {
			quoted(s, &t);
		} else if (c == '+' || c == '*') {
			t.wrong = "+ and * are possible within quotes only";
			step(s, false);
		} else {
			word(s, &t);
		}
	}
	if (t.wrong)
		t.kind = CONF_WRONG;
	t.end = s->at;
	*ret = t;
}

void conf_scan_back(struct conf_scan *s, const struct conf_token *t)
{
	s->at = t->begin;
	s->line = t->line;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grammar: sections, includes, keys with one value or a list; see conf_text.h. After a fault it
 * goes on behind the line, but never past the brace that ends the section. A key and its = and the
 * beginning of its value are on one line, so that what is missing is missed where it is missing.
 */
#include "conf_text.h"

#include "conf_token.h"
#include "str.h"
#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FAULT_ROOM = 2048, SHOWN_MAX = 100 };

static const char wants_section[] = "a section is expected here, NAME { } or NAME \"TITLE\" { }";

struct split {
	struct conf_scan scan;
	const struct conf_kind *kinds;
	size_t kind_count;
	const struct conf_text_ops *ops;
	void *ctx;
	struct conf_statement now;
};

/* Faults. */

__attribute__((format(printf, 3, 4))) static void fault(
	struct split *s, unsigned line, const char *fmt, ...)
{
	char text[FAULT_ROOM];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->now.torn = true;
	s->ops->fault(s->ctx, line, text);
}

/* For "%.*s". */
#define SHOWN(s, t)                                                                                \
	(int)MIN_OF((size_t)SHOWN_MAX, (t)->end - (t)->begin), (s)->scan.text + (t)->begin

/* T is not what should be there: WANTED, a sentence. */
static void unexpected(struct split *s, const struct conf_token *t, unsigned line,
	const struct conf_token *owner, const char *wanted)
{
	if (t->kind == CONF_WRONG && t->line == line)
		fault(s, line, "%.*s: %s", SHOWN(s, owner), t->wrong);
	else
		fault(s, line, "%.*s: %s", SHOWN(s, owner), wanted);
}

static void blank(struct split *s, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (s->scan.text[i] != '\n')
			s->scan.text[i] = ' ';
	}
}

/* Tokens. */

static bool is_sign(const struct conf_token *t, char sign)
{
	return t->kind == CONF_SIGN && t->sign == sign;
}

static bool is_text(const struct conf_token *t)
{
	return t->kind == CONF_WORD || t->kind == CONF_QUOTED;
}

static bool is_word(const struct split *s, const struct conf_token *t, const char *word)
{
	return t->kind == CONF_WORD && t->end - t->begin == strlen(word) &&
		memcmp(s->scan.text + t->begin, word, strlen(word)) == 0;
}

static bool is_key(struct split *s, const struct conf_token *t)
{
	struct conf_token next;

	if (t->kind != CONF_WORD)
		return false;
	conf_scan_next(&s->scan, &next);
	conf_scan_back(&s->scan, &next);
	return is_sign(&next, '=');
}

/* Where a fault is. */
struct place {
	size_t from;    /* what is to be forgotten begins here */
	unsigned line;  /* and goes on at least up to the end of this line */
	unsigned depth; /* open braces; what is within them is forgotten too */
	bool section;   /* in one: a brace that ends it, or a key on another line, is not */
};

/* T is the token at the fault. What comes next is the first one that is not forgotten. */
static void forget(struct split *s, struct place p, struct conf_token *t)
{
	while (t->kind != CONF_END && (t->line == p.line || p.depth)) {
		if (is_sign(t, '}') && !p.depth && p.section)
			break;
		if (t->line != p.line && p.section && is_key(s, t))
			break;
		if (is_sign(t, '{'))
			p.depth++;
		if (is_sign(t, '}') && p.depth)
			p.depth--;
		conf_scan_next(&s->scan, t);
	}
	conf_scan_back(&s->scan, t);
	blank(s, p.from, t->begin);
}

/* Sections. */

static const struct conf_kind *find_kind(const struct split *s, const struct conf_token *t)
{
	for (size_t i = 0; i < s->kind_count; i++) {
		if (is_word(s, t, s->kinds[i].name))
			return &s->kinds[i];
	}
	return NULL;
}

enum { NEAR = 2 };

/* A key that may have been meant, or NULL. */
static const char *near_key(
	const struct split *s, const struct conf_kind *kind, const struct conf_token *name)
{
	const char *best = NULL;
	size_t least = NEAR + 1, given = name->end - name->begin;

	for (size_t i = 0; i < kind->keys->count; i++) {
		const struct key *k = &kind->keys->keys[i];
		size_t n =
			str_distance(k->name, strlen(k->name), s->scan.text + name->begin, given);

		if (!(k->where & kind->where) || n >= least || 2 * n >= given)
			continue;
		least = n;
		best = k->name;
	}
	return best;
}

static void unknown_key(
	struct split *s, const struct conf_kind *kind, const struct conf_token *name)
{
	const char *near = near_key(s, kind, name);
	char all[FAULT_ROOM / 2] = "";
	size_t len = 0;

	if (near) {
		fault(s, name->line, "%.*s: no such key in %s; did you mean %s?", SHOWN(s, name),
			kind->name, near);
		return;
	}
	for (size_t i = 0; i < kind->keys->count && len < sizeof(all); i++) {
		const struct key *k = &kind->keys->keys[i];

		if (k->where & kind->where)
			len += (size_t)snprintf(
				all + len, sizeof(all) - len, "%s%s", len ? ", " : "", k->name);
	}
	fault(s, name->line, "%.*s: no such key in %s; there are %s", SHOWN(s, name), kind->name,
		all);
}

/* Whether the key may be there, and is not there twice. KIND NULL: nothing is known. */
static bool note_key(struct split *s, const struct conf_kind *kind, const struct conf_token *name)
{
	for (size_t i = 0; kind && i < kind->keys->count; i++) {
		const struct key *k = &kind->keys->keys[i];
		bool torn = s->now.torn;

		if (!(k->where & kind->where) || !is_word(s, name, k->name))
			continue;
		if (s->now.lines[i]) {
			fault(s, name->line, "%s: is given already, in line %u", k->name,
				s->now.lines[i]);
			s->now.torn = torn; /* nothing is missing */
			return false;
		}
		s->now.lines[i] = name->line;
		return true;
	}
	if (kind)
		unknown_key(s, kind, name);
	return !kind;
}

/* Behind {, up to }. On a fault *T is where it is. */
static bool list(struct split *s, const struct conf_token *name, struct conf_token *t)
{
	unsigned line = t->line;

	conf_scan_next(&s->scan, t);
	while (is_text(t)) {
		line = t->line;
		conf_scan_next(&s->scan, t);
		if (!is_sign(t, ','))
			break;
		line = t->line;
		conf_scan_next(&s->scan, t);
	}
	if (is_sign(t, '}'))
		return true;
	unexpected(s, t, t->kind == CONF_WRONG ? t->line : line, name,
		"the list is not closed; a comma or } is missing");
	return false;
}

/* "= VALUE"; on a fault *T is the token it is at, and *ret_depth tells if that is in a list. */
static bool value(
	struct split *s, const struct conf_token *name, struct conf_token *t, unsigned *ret_depth)
{
	conf_scan_next(&s->scan, t);
	if (!is_sign(t, '=') || t->line != name->line) {
		unexpected(s, t, name->line, name, "= is missing behind the key");
		return false;
	}
	conf_scan_next(&s->scan, t);
	if (is_sign(t, '{') && t->line == name->line) {
		*ret_depth = 1;
		return list(s, name, t);
	}
	if (is_text(t) && t->line == name->line)
		return true;
	unexpected(s, t, name->line, name, "a value is missing behind =, on this line");
	return false;
}

static void key(struct split *s, const struct conf_kind *kind, const struct conf_token *name)
{
	struct place p = {name->begin, name->line, 0, true};
	struct conf_token t;

	if (!value(s, name, &t, &p.depth))
		forget(s, p, &t);
	else if (!note_key(s, kind, name))
		blank(s, name->begin, t.end);
}

/* The name of a kind, but no key: somebody forgot a brace. */
static bool begins_section(struct split *s, const struct conf_token *name)
{
	struct conf_token t;

	if (!find_kind(s, name))
		return false;
	conf_scan_next(&s->scan, &t);
	conf_scan_back(&s->scan, &t);
	return is_sign(&t, '{') || is_text(&t);
}

/* What is between the braces. False: the one that ends it is missing; T is what follows. */
static bool body(struct split *s, const struct conf_kind *kind, struct conf_token *t)
{
	for (;;) {
		conf_scan_next(&s->scan, t);
		if (is_sign(t, '}'))
			return true;
		if (t->kind == CONF_END || begins_section(s, t))
			return false;
		if (t->kind == CONF_WORD && !is_word(s, t, "include")) {
			key(s, kind, t);
			continue;
		}
		if (is_word(s, t, "include"))
			fault(s, t->line, "include: stands outside of sections only");
		else if (t->kind == CONF_WRONG)
			fault(s, t->line, "%s", t->wrong);
		else
			fault(s, t->line, "%.*s: a key is expected here, KEY = VALUE", SHOWN(s, t));
		forget(s, (struct place){t->begin, t->line, 0, true}, t);
	}
}

static void unknown_section(struct split *s, const struct conf_token *name)
{
	char all[FAULT_ROOM / 2] = "";
	size_t len = 0;

	for (size_t i = 0; i < s->kind_count && len < sizeof(all); i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", s->kinds[i].name,
			s->kinds[i].titled ? " \"NAME\" { }, " : " { }, ");
	fault(s, name->line, "%.*s: no such section; there are %sinclude(\"FILE\")", SHOWN(s, name),
		all);
}

/* NULL, after a fault: the body will be looked at, and forgotten. */
static const struct conf_kind *check_head(
	struct split *s, const struct conf_token *name, bool titled)
{
	const struct conf_kind *kind = find_kind(s, name);

	if (s->now.torn)
		return NULL;
	if (!kind)
		unknown_section(s, name);
	else if (kind->titled && !titled)
		fault(s, name->line, "%s: a name is missing: %s \"NAME\" {", kind->name,
			kind->name);
	else if (!kind->titled && titled)
		fault(s, name->line, "%s: must be without a name: %s {", kind->name, kind->name);
	return s->now.torn ? NULL : kind;
}

static void not_closed(
	struct split *s, const struct conf_token *name, const struct conf_token *next)
{
	if (next->kind == CONF_END)
		fault(s, name->line, "%.*s: this section does not end; } is missing",
			SHOWN(s, name));
	else
		fault(s, name->line,
			"%.*s: this section does not end before the next one, in line %u; } is missing",
			SHOWN(s, name), next->line);
}

/* From { on. TITLED: a title was there. */
static void section(struct split *s, const struct conf_token *name, bool titled)
{
	const struct conf_kind *kind = check_head(s, name, titled);
	struct conf_token t;
	bool closed = body(s, kind, &t);

	if (!closed) {
		not_closed(s, name, &t);
		conf_scan_back(&s->scan, &t);
	}
	if (!closed || !kind) {
		blank(s, name->begin, closed ? t.end : t.begin);
		return;
	}
	s->now.kind = kind;
	s->now.text = s->scan.text + name->begin;
	s->now.len = t.end - name->begin;
	s->ops->statement(s->ctx, &s->now);
}

/* Other statements. */

/* From ( on. For libconfuse it becomes a key, which needs no callback. */
static void include(struct split *s, const struct conf_token *name, struct conf_token open)
{
	struct conf_token text, t;

	conf_scan_next(&s->scan, &text);
	t = text;
	if (is_text(&text))
		conf_scan_next(&s->scan, &t);
	if (!is_text(&text) || !is_sign(&t, ')') || t.line != name->line) {
		unexpected(s, &t, name->line, name, "must be include(\"FILE\"), on one line");
		forget(s, (struct place){name->begin, name->line, 0, false}, &t);
		return;
	}
	s->scan.text[open.begin] = '=';
	s->now.text = s->scan.text + name->begin;
	s->now.len = text.end - name->begin;
	s->ops->statement(s->ctx, &s->now);
}

/* A quote is missing, so the brace behind it was taken for text. */
static bool swallowed_brace(const struct split *s, const struct conf_token *t)
{
	size_t end = t->end;

	while (end > t->begin && strchr(" \t\r", s->scan.text[end - 1]))
		end--;
	return end > t->begin && s->scan.text[end - 1] == '{';
}

/* A title that is wrong. True: its section follows. */
static bool wrong_title(struct split *s, const struct conf_token *name, struct conf_token *t)
{
	bool opened = swallowed_brace(s, t);

	fault(s, t->line, "%.*s: %s", SHOWN(s, name), t->wrong);
	if (!opened)
		conf_scan_next(&s->scan, t);
	return opened || is_sign(t, '{');
}

static void no_section(
	struct split *s, const struct conf_token *name, unsigned line, struct conf_token *t)
{
	if (!s->now.torn && is_sign(t, '='))
		fault(s, name->line, "%.*s: stands outside of a section", SHOWN(s, name));
	else if (!s->now.torn)
		unexpected(s, t, line, name, wants_section);
	forget(s, (struct place){name->begin, line, 0, false}, t);
}

static void statement(struct split *s, const struct conf_token *name)
{
	unsigned line = name->line;
	struct conf_token t;
	bool titled;

	s->now = (struct conf_statement){.line = line};
	conf_scan_next(&s->scan, &t);
	if (is_sign(&t, '(') && is_word(s, name, "include")) {
		include(s, name, t);
		return;
	}
	titled = is_text(&t);
	if (titled) {
		line = t.line;
		conf_scan_next(&s->scan, &t);
	}
	if (is_sign(&t, '{') ||
		(t.kind == CONF_WRONG && t.line == line && !titled && wrong_title(s, name, &t)))
		section(s, name, titled);
	else
		no_section(s, name, line, &t);
}

void conf_text_split(char *text, size_t len, const struct conf_kind *kinds, size_t kind_count,
	const struct conf_text_ops *ops, void *ctx)
{
	struct split s = {.scan = {.text = text, .len = len, .line = 1},
		.kinds = kinds,
		.kind_count = kind_count,
		.ops = ops,
		.ctx = ctx};
	struct conf_token t;

	for (;;) {
		conf_scan_next(&s.scan, &t);
		if (t.kind == CONF_END)
			return;
		if (t.kind == CONF_WORD) {
			statement(&s, &t);
			continue;
		}
		if (t.kind == CONF_WRONG)
			fault(&s, t.line, "%s", t.wrong);
		else
			fault(&s, t.line, "%.*s: %s", SHOWN(&s, &t), wants_section);
		forget(&s, (struct place){t.begin, t.line, 0, false}, &t);
	}
}

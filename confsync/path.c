/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths and patterns; see path.h. A path goes through a pattern component by component, with the
 * set of all numbers of pattern components that may be behind it: so "**" costs no more than the
 * product of both lengths. A path that is not clean matches nothing: config_allows() leans on
 * that.
 */
#include "path.h"

#include "line.h"
#include "util.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <string.h>

/* Components, within the text they come from. */
struct words {
	const char *at[PATH_DEPTH_MAX];
	uint8_t len[PATH_DEPTH_MAX];
	size_t count;
};

static bool is_dots(const char *word, size_t len)
{
	return (len == 1 && word[0] == '.') || (len == 2 && word[0] == '.' && word[1] == '.');
}

/* NULL, or what is wrong with the component; adds it. */
static const char *add_word(struct words *w, const char *word, size_t len)
{
	if (len == 0)
		return "has an empty component";
	if (len > PATH_COMPONENT_MAX)
		return "has a component of more than 255 bytes";
	if (is_dots(word, len))
		return "has a component \".\" or \"..\"";
	if (w->count == PATH_DEPTH_MAX)
		return "has more than 64 components";
	w->at[w->count] = word;
	w->len[w->count++] = (uint8_t)len;
	return NULL;
}

static const char *split(const char *path, size_t len, struct words *w)
{
	const char *end = path + len, *fault = NULL;

	w->count = 0;
	if (len == 0 || *path != '/')
		return "does not begin with '/'";
	if (len > PATH_BYTES_MAX)
		return "has more than 4000 bytes";
	if (len == 1)
		return "is the root folder";
	while (!fault && path < end) {
		const char *word = path + 1, *slash = memchr(word, '/', (size_t)(end - word));

		path = slash ? slash : end;
		fault = add_word(w, word, (size_t)(path - word));
	}
	return fault;
}

static bool split_path(const char *path, struct words *w)
{
	return !split(path, strnlen(path, PATH_BYTES_MAX + 1), w);
}

/* A '/' at the end says nothing here: each pattern takes what is in the folder. */
static const char *split_pattern(const char *pattern, struct words *w)
{
	size_t len = strnlen(pattern, PATH_BYTES_MAX + 1);

	if (len > 1 && pattern[len - 1] == '/')
		len--;
	return split(pattern, len, w);
}

bool path_is_clean(const char *path)
{
	struct words w;

	return split_path(path, &w);
}

/* What is wrong with a pattern. */

/* Behind the class, equivalence or collating name that begins at P ("[:alpha:]"); NULL: no end. */
static const char *behind_class(const char *p, const char *end)
{
	char kind = p[1];

	for (p += 2; p + 1 < end; p++) {
		if (p[0] == kind && p[1] == ']')
			return p + 2;
	}
	return NULL;
}

static bool begins_class(const char *p, const char *end)
{
	return p[0] == '[' && p + 1 < end && memchr(":.=", p[1], 3);
}

/* Behind the ']' of the '[' at P; NULL: there is none. */
static const char *behind_bracket(const char *p, const char *end)
{
	p++;
	if (p < end && (*p == '!' || *p == '^'))
		p++;
	for (bool first = true; p && p < end; first = false) {
		if (*p == ']' && !first)
			return p + 1;
		if (begins_class(p, end))
			p = behind_class(p, end);
		else
			p += *p == '\\' ? 2 : 1;
	}
	return NULL;
}

static const char *word_fault(const char *p, size_t len)
{
	const char *end = p + len;

	if (len == 2 && memcmp(p, "**", 2) == 0)
		return NULL;
	while (p && p < end) {
		if (p[0] == '*' && p + 1 < end && p[1] == '*')
			return "has \"**\" that is not a component of its own";
		if (p[0] == '\\' && p + 1 == end)
			return "has a '\\' with nothing behind it";
		if (*p == '[')
			p = behind_bracket(p, end);
		else
			p += *p == '\\' ? 2 : 1;
	}
	return p ? NULL : "has a '[' without its ']'";
}

const char *path_pattern_fault(const char *pattern)
{
	struct words w;
	const char *fault = split_pattern(pattern, &w);

	for (size_t i = 0; !fault && i < w.count; i++)
		fault = word_fault(w.at[i], w.len[i]);
	return fault;
}

const char *path_exclusion_fault(const char *pattern)
{
	size_t len = strnlen(pattern, PATH_COMPONENT_MAX + 1);

	if (strchr(pattern, '/'))
		return *pattern == '/' ? path_pattern_fault(pattern)
				       : "has a '/' but does not begin with one";
	if (len == 0)
		return "is empty";
	if (len > PATH_COMPONENT_MAX)
		return "has a component of more than 255 bytes";
	return word_fault(pattern, len);
}

/* Matching. */

static bool is_special(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '*' || word[i] == '?' || word[i] == '[' || word[i] == '\\')
			return true;
	}
	return false;
}

static bool word_matches(
	const char *pattern, size_t pattern_len, const char *word, size_t len, int flags)
{
	char p[PATH_COMPONENT_MAX + 1], w[PATH_COMPONENT_MAX + 1];

	if (!is_special(pattern, pattern_len))
		return pattern_len == len && memcmp(pattern, word, len) == 0;
	memcpy(p, pattern, pattern_len);
	p[pattern_len] = 0;
	memcpy(w, word, len);
	w[len] = 0;
	return fnmatch(p, w, flags) == 0;
}

/* at[i]: the components so far may have used up the first i of the pattern. */
struct reach {
	bool at[PATH_DEPTH_MAX + 1];
	bool alive; /* any */
};

static bool is_any(const struct words *p, size_t i)
{
	return p->len[i] == 2 && memcmp(p->at[i], "**", 2) == 0;
}

static void reach(struct reach *r, const struct words *p, size_t i)
{
	r->alive = true;
	r->at[i] = true;
	for (; i < p->count && is_any(p, i); i++)
		r->at[i + 1] = true;
}

/* One component of a path. */
static void step(struct reach *r, const struct words *p, const char *word, size_t len)
{
	struct reach next = {0};

	for (size_t i = 0; i < p->count; i++) {
		if (!r->at[i])
			continue;
		if (is_any(p, i)) {
			if (*word != '.')
				reach(&next, p, i);
		} else if (word_matches(p->at[i], p->len[i], word, len, FNM_PERIOD)) {
			reach(&next, p, i + 1);
		}
	}
	*r = next;
}

/* True: PATH, or a folder above it, matches; else R says what may still come. */
static bool walk(const struct words *pattern, const struct words *path, struct reach *r)
{
	*r = (struct reach){0};
	reach(r, pattern, 0);
	for (size_t i = 0; i < path->count && r->alive && !r->at[pattern->count]; i++)
		step(r, pattern, path->at[i], path->len[i]);
	return r->at[pattern->count];
}

bool path_matches(const char *pattern, const char *path)
{
	struct words p, w;
	struct reach r;

	return !split_pattern(pattern, &p) && split_path(path, &w) && walk(&p, &w, &r);
}

bool path_may_hold(const char *pattern, const char *folder)
{
	struct words p, w = {.count = 0};
	struct reach r;

	if (split_pattern(pattern, &p) || (strcmp(folder, "/") != 0 && !split_path(folder, &w)))
		return false;
	return walk(&p, &w, &r) || r.alive;
}

bool path_excluded(const char *exclusion, const char *path)
{
	size_t len = strnlen(exclusion, PATH_COMPONENT_MAX + 1);
	struct words w;

	if (*exclusion == '/')
		return path_matches(exclusion, path);
	if (len > PATH_COMPONENT_MAX || !split_path(path, &w))
		return false;
	for (size_t i = 0; i < w.count; i++) {
		if (word_matches(exclusion, len, w.at[i], w.len[i], 0))
			return true;
	}
	return false;
}

bool path_fixed_part(const char *pattern, char *out, size_t room)
{
	struct words w;
	const char *end = pattern;

	if (split_pattern(pattern, &w))
		return false;
	for (size_t i = 0; i < w.count && !is_special(w.at[i], w.len[i]); i++)
		end = w.at[i] + w.len[i];
	if (end == pattern)
		end++;
	if ((size_t)(end - pattern) >= room)
		return false;
	memcpy(out, pattern, (size_t)(end - pattern));
	out[end - pattern] = 0;
	return true;
}

/* Escapes. */

bool path_escape(const char *path, char *out, size_t room)
{
	size_t len = strlen(path), need = line_escaped_len(path, len);

	if (need >= room)
		return false;
	line_escape(path, len, out);
	out[need] = 0;
	return true;
}

/* In place of a second buffer the text goes through in pieces of one byte or escape. */
bool path_unescape(const char *text, size_t len, char *out, size_t room)
{
	size_t used = 0, n;

	for (size_t i = 0; i < len; i += n) {
		uint8_t bytes[3];
		size_t got;

		n = text[i] == '%' ? MIN_OF((size_t)3, len - i) : 1;
		if (used + 1 >= room || !line_unescape(text + i, n, bytes, &got) || bytes[0] == 0)
			return false;
		out[used++] = (char)bytes[0];
	}
	if (room == 0)
		return false;
	out[used] = 0;
	return true;
}

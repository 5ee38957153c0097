/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manifests as text; see manifest.h. The parser takes exactly what manifest_print() writes: so the
 * SHA-256 of a text that was taken is the digest of what it says, and whoever sends it cannot say
 * one thing in two ways. Nothing is believed: paths are clean, in order, and nothing lies beneath
 * what is no folder.
 */
#include "manifest.h"

#include "line.h"
#include "path.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_MAX = PATH_MAX - 1 };

/* Hashes. */

void hash_to_hex(const uint8_t hash[MANIFEST_HASH], char ret[MANIFEST_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < MANIFEST_HASH; i++) {
		ret[2 * i] = digits[hash[i] >> 4];
		ret[2 * i + 1] = digits[hash[i] & 15];
	}
	ret[MANIFEST_HEX - 1] = 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hash_from_hex(const char *text, size_t len, uint8_t ret[MANIFEST_HASH])
{
	uint8_t hash[MANIFEST_HASH];

	if (len != MANIFEST_HEX - 1)
		return -EINVAL;
	for (size_t i = 0; i < MANIFEST_HASH; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		hash[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, hash, sizeof(hash));
	return 0;
}

bool hash_is_zero(const uint8_t hash[MANIFEST_HASH])
{
	uint8_t all = 0;

	for (size_t i = 0; i < MANIFEST_HASH; i++)
		all |= hash[i];
	return all == 0;
}

/* Writing. */

static void put_mode(struct buf *out, unsigned mode)
{
	char text[5] = {' '};

	for (int i = 0; i < 4; i++)
		text[1 + i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
	buf_put(out, text, sizeof(text));
}

static void put_owner(struct buf *out, const struct entry *e)
{
	buf_put(out, " ", 1);
	line_put_text(out, e->owner);
	buf_put(out, " ", 1);
	line_put_text(out, e->group);
	buf_put(out, " ", 1);
}

static void put_content(struct buf *out, const struct entry *e)
{
	char hex[MANIFEST_HEX];

	line_put_number(out, e->size);
	hash_to_hex(e->hash, hex);
	buf_put(out, " ", 1);
	buf_put(out, hex, MANIFEST_HEX - 1);
	buf_put(out, " ", 1);
}

static void put_attr(struct buf *out, const struct attr *a)
{
	buf_put(out, "x ", 2);
	line_put_text(out, a->name);
	buf_put(out, " ", 1);
	line_put_value(out, a->value, a->len);
	buf_put(out, "\n", 1);
}

static void put_entry(struct buf *out, const struct entry *e)
{
	char type = (char)e->type;

	buf_put(out, &type, 1);
	if (e->type != MANIFEST_LINK)
		put_mode(out, e->mode);
	put_owner(out, e);
	if (e->type == MANIFEST_FILE)
		put_content(out, e);
	if (e->type == MANIFEST_LINK) {
		line_put_text(out, e->target);
		buf_put(out, " ", 1);
	}
	line_put_text(out, e->path);
	buf_put(out, "\n", 1);
	for (size_t i = 0; i < e->attr_count; i++)
		put_attr(out, &e->attrs[i]);
}

void manifest_print(const struct manifest *m, struct buf *out)
{
	for (size_t i = 0; i < m->count; i++)
		put_entry(out, &m->entries[i]);
}

int manifest_digest(const struct manifest *m, uint8_t ret[MANIFEST_HASH])
{
	struct buf text;
	int r = -ENOMEM;

	buf_init(&text, MANIFEST_TEXT_MAX);
	buf_reserve(&text, 1); /* so that there are bytes, if only none */
	manifest_print(m, &text);
	if (!buf_failed(&text) &&
		EVP_Digest(buf_bytes(&text), buf_len(&text), ret, NULL, EVP_sha256(), NULL))
		r = 0;
	buf_done(&text);
	return r;
}

/* Reading. */

struct parser {
	struct line_reader r;
	struct manifest *m;
	struct entry entry; /* not yet in M: its attributes may follow */
	bool open;          /* there is one */
	const char *why;    /* after -EBADMSG and -E2BIG */
};

static int wrong(struct parser *p, const char *why)
{
	p->why = why;
	return -EBADMSG;
}

/* R is what line_text_new() and its like said. */
static int check(struct parser *p, int r, const char *why)
{
	if (r < 0)
		p->why = why;
	return r;
}

static int take_mode(struct parser *p)
{
	const char *word;
	size_t len;
	unsigned mode = 0;

	if (!line_word(&p->r, &word, &len) || len != 4)
		return wrong(p, "the mode is not four octal digits");
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '7')
			return wrong(p, "the mode is not four octal digits");
		mode = mode << 3 | (unsigned)(word[i] - '0');
	}
	p->entry.mode = mode;
	return 0;
}

static int take_owner(struct parser *p)
{
	struct entry *e = &p->entry;

	if (!line_text(&p->r, e->owner, sizeof(e->owner)))
		return wrong(p, "the owner is not a name of 1 to 63 bytes");
	if (!line_text(&p->r, e->group, sizeof(e->group)))
		return wrong(p, "the group is not a name of 1 to 63 bytes");
	return 0;
}

static int take_content(struct parser *p)
{
	const char *word;
	size_t len;

	if (!line_number(&p->r, INT64_MAX, &p->entry.size))
		return wrong(p, "the size is not a number");
	if (!line_word(&p->r, &word, &len) || hash_from_hex(word, len, p->entry.hash) < 0)
		return wrong(p, "the hash is not 64 hexadecimal digits");
	return 0;
}

static int take_target(struct parser *p)
{
	return check(p, line_text_new(&p->r, TARGET_MAX, &p->entry.target),
		"the target is not an escaped text of 1 to 4095 bytes");
}

static int take_path(struct parser *p)
{
	struct entry *e = &p->entry;
	const struct manifest *m = p->m;
	int r = check(p, line_text_new(&p->r, PATH_BYTES_MAX, &e->path),
		"the path is not an escaped text of 1 to 4000 bytes");

	if (r < 0)
		return r;
	if (!line_ended(&p->r))
		return wrong(p, "there is something behind the path");
	if (!path_is_clean(e->path))
		return wrong(p, "the path is not absolute and clean");
	if (m->count > 0 && strcmp(m->entries[m->count - 1].path, e->path) >= 0)
		return wrong(p, "the path is not behind the one before it");
	return 0;
}

/* The entry is whole. */
static int close_entry(struct parser *p)
{
	if (!p->open)
		return 0;
	p->open = false;
	return check(p, manifest_add(p->m, &p->entry), "there are too many entries or attributes");
}

static int take_entry(struct parser *p, enum manifest_type type)
{
	int r = close_entry(p);

	if (r < 0)
		return r;
	p->entry = (struct entry){.type = type};
	p->open = true;
	if (type != MANIFEST_LINK)
		r = take_mode(p);
	if (r == 0)
		r = take_owner(p);
	if (r == 0 && type == MANIFEST_FILE)
		r = take_content(p);
	if (r == 0 && type == MANIFEST_LINK)
		r = take_target(p);
	return r == 0 ? take_path(p) : r;
}

/* Into A, which is part of the entry already. */
static int take_attr_fields(struct parser *p, struct attr *a)
{
	const struct entry *e = &p->entry;
	int r = check(p, line_text_new(&p->r, MANIFEST_ATTR_NAME_MAX - 1, &a->name),
		"the name is not an escaped text of 1 to 255 bytes");

	if (r < 0)
		return r;
	if (e->attr_count > 1 && strcmp(e->attrs[e->attr_count - 2].name, a->name) >= 0)
		return wrong(p, "the name is not behind the one before it");
	r = check(p, line_value_new(&p->r, MANIFEST_ATTR_VALUE_MAX, &a->value, &a->len),
		"the value is not an escaped text of at most 65536 bytes");
	if (r == 0 && !line_ended(&p->r))
		return wrong(p, "there is something behind the value");
	return r;
}

static int take_attr(struct parser *p)
{
	struct entry *e = &p->entry;
	struct attr *more;

	if (!p->open || e->type == MANIFEST_LINK)
		return wrong(p, "an attribute without a file or folder above it");
	if (e->attr_count == MANIFEST_ATTRS_MAX)
		return check(p, -E2BIG, "more than 64 attributes");
	more = reallocarray(e->attrs, e->attr_count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	e->attrs = more;
	more[e->attr_count] = (struct attr){0};
	return take_attr_fields(p, &more[e->attr_count++]);
}

static int take_line(struct parser *p)
{
	const char *word;
	size_t len;

	if (!line_word(&p->r, &word, &len) || len != 1)
		return wrong(p, "it does not begin with f, d, l or x");
	switch (*word) {
	case MANIFEST_FILE:
	case MANIFEST_FOLDER:
	case MANIFEST_LINK:
		return take_entry(p, (enum manifest_type) * word);
	case 'x':
		return take_attr(p);
	}
	return wrong(p, "it does not begin with f, d, l or x");
}

static int take_lines(struct parser *p)
{
	int r;

	while ((r = line_next(&p->r)) == 1) {
		r = take_line(p);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return wrong(p, "it has no end");
	return close_entry(p);
}

/* PATH and '/', against as many bytes of the path of E. */
static int compare_beneath(const void *path, const void *e)
{
	size_t len = strlen(path);
	const char *other = ((const struct entry *)e)->path;
	int r = strncmp(path, other, len);

	return r != 0 ? r : '/' - (int)(unsigned char)other[len];
}

/* Is there an entry beneath PATH among those from I on? */
static bool has_beneath(const struct manifest *m, size_t i, const char *path)
{
	return bsearch(path, m->entries + i, m->count - i, sizeof(*m->entries), compare_beneath);
}

/* A path that begins with another one comes right behind it, or behind more of that kind. */
static const struct entry *find_misplaced(const struct manifest *m)
{
	for (size_t i = 0; i + 1 < m->count; i++) {
		const struct entry *e = &m->entries[i];

		if (e->type != MANIFEST_FOLDER &&
			strncmp(e->path, e[1].path, strlen(e->path)) == 0 &&
			has_beneath(m, i + 1, e->path))
			return e;
	}
	return NULL;
}

static int fail(struct parser *p, int code, struct err *err)
{
	if (code == -ENOMEM)
		return err_sys(err, ENOMEM, "line %zu", p->r.number);
	return err_set(err, -code, "line %zu: %s", p->r.number, p->why);
}

int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err)
{
	struct parser p = {.m = ret};
	const struct entry *bad;
	int r;

	manifest_done(ret);
	if (len > MANIFEST_TEXT_MAX)
		return err_set(err, E2BIG, "the list has more than 64 MiB");
	line_start(&p.r, text, len);
	r = take_lines(&p);
	if (r < 0) {
		if (p.open)
			entry_done(&p.entry);
		r = fail(&p, r, err);
	} else if ((bad = find_misplaced(ret))) {
		char path[256];

		if (!path_escape(bad->path, path, sizeof(path)))
			memcpy(path, "a long path", sizeof("a long path"));
		r = err_set(err, EBADMSG, "%s is no folder, but something lies in it", path);
	}
	if (r < 0)
		manifest_done(ret);
	return r;
}

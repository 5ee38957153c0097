/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generations and their text; see generation.h. As in manifest_text.c there is one form only; the
 * digest in it is compared with the lines that follow. Vectors are in vector.c.
 */
#include "generation.h"

#include "line.h"
#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

static const char first_line[] = "xnbd-confsync 1\n", last_line[] = "end\n";

void generation_init(struct generation *g)
{
	*g = (struct generation){0};
}

void generation_done(struct generation *g)
{
	manifest_done(&g->files);
	generation_init(g);
}

int generation_copy(struct generation *to, const struct generation *from)
{
	struct manifest files;

	if (manifest_copy(&files, &from->files) < 0) {
		generation_init(to);
		return -ENOMEM;
	}
	*to = *from;
	to->files = files;
	return 0;
}

bool generation_name_ok(const char *name)
{
	size_t len = strnlen(name, GENERATION_NAME_MAX);

	if (len == 0 || len == GENERATION_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isascii((unsigned char)name[i]) ||
			!(isalnum((unsigned char)name[i]) || strchr("._-", name[i])))
			return false;
	}
	return true;
}

bool generation_id_ok(const char *id)
{
	return strlen(id) == GENERATION_ID_MAX - 1 &&
		strspn(id, "0123456789abcdef") == GENERATION_ID_MAX - 1;
}

/* Writing. */

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

static void put_value(struct buf *out, const char *key, const char *text)
{
	put_text(out, key);
	line_put_value(out, text, strlen(text));
	put_text(out, "\n");
}

static void put_number(struct buf *out, const char *key, uint64_t n)
{
	put_text(out, key);
	line_put_number(out, n);
	put_text(out, "\n");
}

static void put_hash(struct buf *out, const char *key, const uint8_t hash[MANIFEST_HASH])
{
	char hex[MANIFEST_HEX];

	hash_to_hex(hash, hex);
	put_value(out, key, hex);
}

static void put_vector(struct buf *out, const struct vector *v)
{
	put_text(out, "vector");
	for (size_t i = 0; i < ARRAY_LEN(v->at); i++) {
		if (!*v->at[i].node)
			continue;
		put_text(out, " ");
		put_text(out, v->at[i].node);
		put_text(out, " ");
		line_put_number(out, v->at[i].count);
	}
	put_text(out, "\n");
}

void generation_print(const struct generation *g, struct buf *out)
{
	char reason[GENERATION_REASON_MAX];

	str_printable(reason, sizeof(reason), g->reason, strlen(g->reason));
	put_text(out, first_line);
	put_value(out, "set ", g->set);
	put_number(out, "number ", g->number);
	put_vector(out, &g->vector);
	put_hash(out, "parent ", g->parent);
	put_hash(out, "digest ", g->digest);
	put_value(out, "transaction ", g->transaction);
	put_value(out, "origin ", g->origin);
	put_number(out, "time ", (uint64_t)MAX_OF(g->time, (int64_t)0));
	put_value(out, "reason ", reason);
	put_number(out, "files ", g->files.count);
	manifest_print(&g->files, out);
	put_text(out, last_line);
}

/* Reading. Each line of the head has a function, which knows that the key was taken already. */

static bool take_hash(struct line_reader *r, uint8_t ret[MANIFEST_HASH])
{
	const char *word;
	size_t len;

	return line_word(r, &word, &len) && hash_from_hex(word, len, ret) == 0;
}

static bool take_set(struct line_reader *r, struct generation *g)
{
	return line_text(r, g->set, sizeof(g->set)) && generation_name_ok(g->set);
}

static bool take_number(struct line_reader *r, struct generation *g)
{
	return line_number(r, VECTOR_COUNT_MAX, &g->number);
}

static bool take_vector(struct line_reader *r, struct generation *g)
{
	struct vector *v = &g->vector;

	for (size_t i = 0; i < ARRAY_LEN(v->at) && !line_ended(r); i++) {
		if (!line_text(r, v->at[i].node, sizeof(v->at[i].node)) ||
			!generation_name_ok(v->at[i].node) ||
			!line_number(r, VECTOR_COUNT_MAX, &v->at[i].count) ||
			(i > 0 && strcmp(v->at[i - 1].node, v->at[i].node) >= 0))
			return false;
	}
	return true;
}

static bool take_parent(struct line_reader *r, struct generation *g)
{
	return take_hash(r, g->parent);
}

static bool take_digest(struct line_reader *r, struct generation *g)
{
	return take_hash(r, g->digest);
}

static bool take_transaction(struct line_reader *r, struct generation *g)
{
	return line_is(r, "-") ||
		(line_text(r, g->transaction, sizeof(g->transaction)) &&
			generation_id_ok(g->transaction));
}

static bool take_origin(struct line_reader *r, struct generation *g)
{
	return line_is(r, "-") ||
		(line_text(r, g->origin, sizeof(g->origin)) && generation_name_ok(g->origin));
}

static bool take_time(struct line_reader *r, struct generation *g)
{
	uint64_t n;

	if (!line_number(r, INT64_MAX, &n))
		return false;
	g->time = (int64_t)n;
	return true;
}

static bool take_reason(struct line_reader *r, struct generation *g)
{
	char again[GENERATION_REASON_MAX];
	uint8_t *value;
	size_t len;
	bool ok;

	if (line_value_new(r, GENERATION_REASON_MAX - 1, &value, &len) < 0)
		return false;
	str_printable(again, sizeof(again), (char *)value, len);
	ok = strlen(again) == len && memcmp(again, value, len) == 0;
	if (ok)
		memcpy(g->reason, value, len + 1);
	free(value);
	return ok;
}

static const struct head {
	const char *key;
	bool (*take)(struct line_reader *r, struct generation *g);
	const char *right;
} heads[] = {
	{"set", take_set, "a name of a set"},
	{"number", take_number, "a number"},
	{"vector", take_vector, "at most two nodes, sorted, with their counts"},
	{"parent", take_parent, "64 hexadecimal digits"},
	{"digest", take_digest, "64 hexadecimal digits"},
	{"transaction", take_transaction, "16 hexadecimal digits"},
	{"origin", take_origin, "a name of a node"},
	{"time", take_time, "seconds"},
	{"reason", take_reason, "printable text of at most 255 bytes, escaped"},
};

static int take_head(struct line_reader *r, struct generation *g, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		const struct head *h = &heads[i];

		if (line_next(r) != 1 || !line_is(r, h->key) || !h->take(r, g) || !line_ended(r))
			return err_set(err, EBADMSG, "line %zu is not \"%s\" and %s", r->number + 1,
				h->key, h->right);
	}
	return 0;
}

/* Between the head and the end: the lines of the manifest are TEXT. */
static int take_files(const char *text, size_t len, struct generation *g, struct err *err)
{
	uint8_t hash[MANIFEST_HASH];
	struct err inner;
	int r = manifest_parse(text, len, &g->files, &inner);

	if (r < 0)
		return err_set(err, -r, "its files, %s", inner.text);
	if (!EVP_Digest(text, len, hash, NULL, EVP_sha256(), NULL))
		return err_sys(err, ENOMEM, "digest");
	if (memcmp(hash, g->digest, sizeof(hash)) != 0)
		return err_set(err, EBADMSG, "its files do not have the digest it says");
	return 0;
}

static int take_body(struct line_reader *r, struct generation *g, struct err *err)
{
	size_t end = sizeof(last_line) - 1;
	uint64_t count;
	int n;

	if (line_next(r) != 1 || !line_is(r, "files") ||
		!line_number(r, MANIFEST_ENTRIES_MAX, &count) || !line_ended(r))
		return err_set(
			err, EBADMSG, "line %zu is not \"files\" and how many", r->number + 1);
	if ((size_t)(r->end - r->next) < end || memcmp(r->end - end, last_line, end) != 0)
		return err_set(err, EBADMSG, "it has no end");
	n = take_files(r->next, (size_t)(r->end - r->next) - end, g, err);
	if (n < 0)
		return n;
	if (g->files.count != count)
		return err_set(err, EBADMSG, "it has %zu files where it says %llu", g->files.count,
			(unsigned long long)count);
	return 0;
}

int generation_parse(const char *text, size_t len, struct generation *ret, struct err *err)
{
	size_t first = sizeof(first_line) - 1;
	struct line_reader r;
	int n;

	generation_done(ret);
	if (len < first || memcmp(text, first_line, first) != 0)
		return err_set(err, EBADMSG, "this is no generation of xnbd-confsync 1");
	line_start(&r, text + first, len - first);
	n = take_head(&r, ret, err);
	if (n == 0)
		n = take_body(&r, ret, err);
	if (n < 0)
		generation_done(ret);
	return n;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manifests and generations from elsewhere: what is taken is printed as the same bytes, is in
 * order, and its digest is that of the text. A whole generation is seldom found by chance, so the
 * input is also taken as lines of the manifest of one that has the right digest.
 */
#include "fuzz.h"

#include "generation.h"
#include "path.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void digest(const void *bytes, size_t len, uint8_t ret[MANIFEST_HASH])
{
	REQUIRE(EVP_Digest(bytes, len, ret, NULL, EVP_sha256(), NULL));
}

static void require_same(const struct buf *b, const char *text, size_t len)
{
	REQUIRE(!buf_failed(b) && buf_len(b) == len);
	REQUIRE(len == 0 || memcmp(buf_bytes(b), text, len) == 0);
}

static void check_entries(const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];

		REQUIRE(path_is_clean(e->path) && manifest_find(m, e->path) == e);
		REQUIRE(i == 0 || strcmp(e[-1].path, e->path) < 0);
		REQUIRE((e->type == MANIFEST_LINK) == (e->target != NULL));
		REQUIRE(*e->owner && *e->group && e->mode <= 07777);
		REQUIRE(e->attr_count <= MANIFEST_ATTRS_MAX);
	}
}

static void check_copy(const struct manifest *m)
{
	struct manifest copy;
	struct changes c;

	REQUIRE(manifest_copy(&copy, m) == 0 && manifest_sort(&copy) == 0);
	REQUIRE(changes_between(m, &copy, &c) == 0 && c.count == 0);
	REQUIRE(manifest_within(m, &copy));
	changes_done(&c);
	manifest_done(&copy);
}

/* True: it is one. */
static bool check_manifest(const char *text, size_t len)
{
	uint8_t a[MANIFEST_HASH], b[MANIFEST_HASH];
	struct manifest m;
	struct buf out;
	struct err err;
	bool ok;

	manifest_init(&m);
	buf_init(&out, MANIFEST_TEXT_MAX);
	ok = manifest_parse(text, len, &m, &err) == 0;
	REQUIRE(ok || (m.count == 0 && *err.text));
	if (ok) {
		manifest_print(&m, &out);
		require_same(&out, text, len);
		check_entries(&m);
		check_copy(&m);
		digest(text, len, a);
		REQUIRE(manifest_digest(&m, b) == 0 && memcmp(a, b, sizeof(a)) == 0);
	}
	manifest_done(&m);
	buf_done(&out);
	return ok;
}

static bool check_generation(const char *text, size_t len)
{
	struct generation g;
	struct buf out;
	struct err err;
	bool ok;

	generation_init(&g);
	buf_init(&out, MANIFEST_TEXT_MAX);
	ok = generation_parse(text, len, &g, &err) == 0;
	REQUIRE(ok || (g.files.count == 0 && *err.text));
	if (ok) {
		generation_print(&g, &out);
		require_same(&out, text, len);
		REQUIRE(vector_compare(&g.vector, &g.vector) == VECTOR_EQUAL);
		REQUIRE(vector_join(&g.vector, &g.vector) == 0);
	}
	generation_done(&g);
	buf_done(&out);
	return ok;
}

static void check_as_files(const char *text, size_t len)
{
	static const char head[] = "xnbd-confsync 1\nset s\nnumber 1\nvector n1 1\nparent ";
	static const char tail[] = "transaction -\norigin n1\ntime 0\nreason -\nfiles ";
	const char *p = text, *end = text + len;
	char hex[MANIFEST_HEX], line[200];
	uint8_t hash[MANIFEST_HASH];
	struct buf b;
	size_t count = 0;

	for (; p && p < end; p = memchr(p, '\n', (size_t)(end - p)), p += p != NULL)
		count += *p != 'x';
	digest(text, len, hash);
	hash_to_hex(hash, hex);
	buf_init(&b, MANIFEST_TEXT_MAX);
	snprintf(line, sizeof(line), "%s\ndigest %s\n", hex, hex);
	buf_put(&b, head, sizeof(head) - 1);
	buf_put(&b, line, strlen(line));
	snprintf(line, sizeof(line), "%zu\n", count);
	buf_put(&b, tail, sizeof(tail) - 1);
	buf_put(&b, line, strlen(line));
	buf_put(&b, text, len);
	buf_put(&b, "end\n", 4);
	REQUIRE(check_generation((const char *)buf_bytes(&b), buf_len(&b)));
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1);

	REQUIRE(text);
	if (size)
		memcpy(text, data, size);
	if (check_manifest(text, size))
		check_as_files(text, size);
	check_generation(text, size);
	free(text);
	return 0;
}

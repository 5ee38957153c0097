/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries and manifests for tests; see sample.h. */
#include "sample.h"

#include "check.h"
#include "path.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct entry sample_entry(enum manifest_type type, const char *path)
{
	struct entry e = {.type = type, .owner = "root", .group = "root"};

	e.path = strdup(path);
	CHECK(e.path);
	if (type != MANIFEST_LINK)
		e.mode = type == MANIFEST_FILE ? 0644 : 0755;
	if (type == MANIFEST_FILE) {
		e.size = strlen(path);
		CHECK(EVP_Digest(path, strlen(path), e.hash, NULL, EVP_sha256(), NULL));
	}
	if (type == MANIFEST_LINK) {
		e.target = strdup(path + 1);
		CHECK(e.target);
	}
	return e;
}

void sample_attr(struct entry *e, const char *name, const void *value, size_t len)
{
	struct attr *a = realloc(e->attrs, (e->attr_count + 1) * sizeof(*a));

	CHECK(a);
	e->attrs = a;
	a += e->attr_count++;
	*a = (struct attr){.name = strdup(name), .value = malloc(len + 1), .len = len};
	CHECK(a->name && a->value);
	memcpy(a->value, value, len);
	a->value[len] = 0;
}

void sample_add(struct manifest *m, enum manifest_type type, const char *path)
{
	struct entry e = sample_entry(type, path);

	CHECK(manifest_add(m, &e) == 0);
	CHECK(manifest_sort(m) == 0);
}

/* A name of any bytes but 0 and '/'. */
static void add_name(char *path, struct rnd *r)
{
	size_t len = strlen(path), more = 1 + rnd_below(r, rnd_once_in(r, 10) ? 255 : 8);

	path[len++] = '/';
	for (size_t i = 0; i < more; i++) {
		do
			path[len + i] = (char)rnd_next(r);
		while (path[len + i] == 0 || path[len + i] == '/');
	}
	path[len + more] = 0;
}

static void random_attrs(struct entry *e, struct rnd *r)
{
	char name[] = "user.a", value[40];

	for (size_t n = rnd_below(r, 4); n > 0; n--) {
		size_t len = rnd_below(r, sizeof(value));

		rnd_fill(r, value, len);
		if (rnd_once_in(r, 3))
			sample_attr(e, name, "-", 1);
		else
			sample_attr(e, name, value, len);
		name[5]++;
	}
}

static struct entry random_entry(struct rnd *r, const char *folder)
{
	static const enum manifest_type types[] = {MANIFEST_FILE, MANIFEST_FOLDER, MANIFEST_LINK};
	char path[PATH_BYTES_MAX * 2];
	struct entry e;

	do {
		strcpy(path, folder);
		add_name(path, r);
	} while (!path_is_clean(path));
	e = sample_entry(types[rnd_below(r, 3)], path);
	if (e.type != MANIFEST_LINK) {
		e.mode = (unsigned)rnd_below(r, 010000);
		random_attrs(&e, r);
	}
	if (rnd_once_in(r, 4))
		strcpy(e.owner, "1042");
	return e;
}

void sample_random(struct manifest *m, struct rnd *r, size_t count)
{
	const char *folder = "/etc";

	while (m->count < count) {
		struct entry e = random_entry(r, folder);

		CHECK(manifest_add(m, &e) == 0);
		if (rnd_once_in(r, 3)) {
			const struct entry *f = &m->entries[rnd_below(r, m->count)];

			folder = f->type == MANIFEST_FOLDER && strlen(f->path) < 2000 ? f->path
										      : "/etc";
		}
		if (manifest_sort(m) < 0)
			manifest_done(m); /* twice the same name: from the begin */
		if (m->count == 0)
			folder = "/etc";
	}
}

char *sample_text(const struct manifest *m)
{
	struct buf b;
	char *ret;

	buf_init(&b, MANIFEST_TEXT_MAX);
	manifest_print(m, &b);
	CHECK(!buf_failed(&b));
	buf_put(&b, "", 1);
	ret = strdup((const char *)buf_bytes(&b));
	CHECK(ret);
	buf_done(&b);
	return ret;
}

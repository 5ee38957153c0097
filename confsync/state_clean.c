/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which contents of the store are still needed; see state.h. Generations are read one at a time,
 * and only the hashes of their files stay, each of them once. A damaged generation might need
 * anything: then nothing is removed.
 */
#include "state.h"
#include "state_inner.h"
#include "store.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hashes {
	uint8_t (*at)[MANIFEST_HASH]; /* sorted, each once */
	size_t count;
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, MANIFEST_HASH);
}

static void sort_unique(struct hashes *h)
{
	size_t kept = 0;

	if (h->count)
		qsort(h->at, h->count, MANIFEST_HASH, compare);
	for (size_t i = 0; i < h->count; i++) {
		if (kept == 0 || memcmp(h->at[kept - 1], h->at[i], MANIFEST_HASH) != 0)
			memmove(h->at[kept++], h->at[i], MANIFEST_HASH);
	}
	h->count = kept;
}

static int add_files(struct hashes *h, const struct manifest *m)
{
	void *more = reallocarray(h->at, h->count + m->count + 1, MANIFEST_HASH);

	if (!more)
		return -ENOMEM;
	h->at = more;
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].type == MANIFEST_FILE)
			memcpy(h->at[h->count++], m->entries[i].hash, MANIFEST_HASH);
	}
	sort_unique(h);
	return 0;
}

static int add_generation(void *arg, const struct generation *g)
{
	return add_files(arg, &g->files);
}

static int add_held(struct hashes *h, const struct state *s)
{
	struct generation held;
	int r = state_held_read(s, &held, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = add_files(h, &held.files);
	generation_done(&held);
	return r;
}

/* A transaction under way has contents of its own in the store, which are in no generation. */
static bool is_under_way(const struct state *s)
{
	CLEANUP_FREE char *plan = state_file(s, "txn/plan");

	return !plan || access(plan, F_OK) == 0;
}

int state_clean(struct state *s, const struct manifest *also)
{
	struct hashes keep = {0};
	int r;

	if (is_under_way(s))
		return -EBUSY;
	r = state_each_past(s, add_generation, &keep);
	if (r == 0)
		r = add_held(&keep, s);
	if (r == 0)
		r = add_files(&keep, &s->now.files);
	if (r == 0 && also)
		r = add_files(&keep, also);
	if (r == 0)
		r = store_clean(s->objects, keep.at, keep.count);
	free(keep.at);
	return r;
}

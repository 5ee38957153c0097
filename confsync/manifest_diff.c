/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes one manifest of another: both are sorted, so one walk along both finds it. */
#include "manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two manifests from their begin on; either or both of OLD and NEW have the smallest path left. */
struct walk {
	const struct manifest *a, *b;
	size_t i, j;
};

static bool walk_next(struct walk *w, const struct entry **old, const struct entry **new)
{
	const struct entry *a = w->i < w->a->count ? &w->a->entries[w->i] : NULL;
	const struct entry *b = w->j < w->b->count ? &w->b->entries[w->j] : NULL;
	int order = !a ? 1 : !b ? -1 : strcmp(a->path, b->path);

	*old = order <= 0 ? a : NULL;
	*new = order >= 0 ? b : NULL;
	w->i += *old != NULL;
	w->j += *new != NULL;
	return a || b;
}

static bool compare(const struct entry *old, const struct entry *new, struct change *ret)
{
	*ret = (struct change){CHANGE_EDIT, old, new, 0};
	if (!old)
		ret->kind = CHANGE_ADD;
	else if (!new)
		ret->kind = CHANGE_DELETE;
	else
		ret->what = entry_difference(old, new);
	return ret->kind != CHANGE_EDIT || ret->what;
}

static int add(struct changes *c, size_t *room, const struct change *one)
{
	if (c->count == *room) {
		size_t more = *room ? 2 * *room : 16;
		struct change *p = reallocarray(c->items, more, sizeof(*p));

		if (!p)
			return -ENOMEM;
		c->items = p;
		*room = more;
	}
	c->items[c->count++] = *one;
	return 0;
}

int changes_between(const struct manifest *old, const struct manifest *new, struct changes *ret)
{
	struct walk w = {.a = old, .b = new};
	const struct entry *a, *b;
	struct change one;
	size_t room = 0;

	*ret = (struct changes){0};
	while (walk_next(&w, &a, &b)) {
		if (compare(a, b, &one) && add(ret, &room, &one) < 0) {
			changes_done(ret);
			return -ENOMEM;
		}
	}
	return 0;
}

void changes_done(struct changes *c)
{
	free(c->items);
	*c = (struct changes){0};
}

bool manifest_within(const struct manifest *a, const struct manifest *b)
{
	struct walk w = {.a = a, .b = b};
	const struct entry *x, *y;

	while (walk_next(&w, &x, &y)) {
		if (x && (!y || entry_difference(x, y)))
			return false;
	}
	return true;
}

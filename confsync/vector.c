/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors of changes (generation.h): who is ahead. A node that is not in a vector has the count 0.
 */
#include "generation.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t count_of(const struct vector *v, const char *node)
{
	for (size_t i = 0; i < ARRAY_LEN(v->at); i++) {
		if (*node && strcmp(v->at[i].node, node) == 0)
			return v->at[i].count;
	}
	return 0;
}

/* Is a count of A larger than B's? */
static bool has_more(const struct vector *a, const struct vector *b)
{
	for (size_t i = 0; i < ARRAY_LEN(a->at); i++) {
		if (*a->at[i].node && a->at[i].count > count_of(b, a->at[i].node))
			return true;
	}
	return false;
}

enum vector_order vector_compare(const struct vector *a, const struct vector *b)
{
	bool more = has_more(a, b), less = has_more(b, a);

	if (more)
		return less ? VECTOR_APART : VECTOR_AHEAD;
	return less ? VECTOR_BEHIND : VECTOR_EQUAL;
}

/* The place of NODE, made if it is not there; NULL: there is no room. Places are sorted. */
static struct vector_count *place(struct vector *v, const char *node)
{
	struct vector_count *a = &v->at[0], *b = &v->at[1];

	for (size_t i = 0; i < ARRAY_LEN(v->at); i++) {
		if (strcmp(v->at[i].node, node) == 0)
			return &v->at[i];
	}
	if (*a->node && *b->node)
		return NULL;
	if (*b->node) {
		*a = *b;
		*b = (struct vector_count){0};
	}
	if (*a->node && strcmp(node, a->node) > 0)
		a = b;
	else
		*b = *a;
	*a = (struct vector_count){0};
	snprintf(a->node, sizeof(a->node), "%s", node);
	return a;
}

int vector_bump(struct vector *v, const char *node)
{
	struct vector_count *c = generation_name_ok(node) ? place(v, node) : NULL;

	if (!c || c->count >= VECTOR_COUNT_MAX)
		return -E2BIG;
	c->count++;
	return 0;
}

int vector_join(struct vector *v, const struct vector *other)
{
	struct vector sum = *v;

	for (size_t i = 0; i < ARRAY_LEN(other->at); i++) {
		struct vector_count *c;

		if (!*other->at[i].node)
			continue;
		c = place(&sum, other->at[i].node);
		if (!c)
			return -E2BIG;
		c->count = MAX_OF(c->count, other->at[i].count);
	}
	*v = sum;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * More fills at once by one for every few that were quick, fewer when one was slow, and then not
 * fewer again before one has ended that began after that. See pace.h.
 */
#include "pace.h"

#include "util.h"

#include <assert.h>
#include <stdbool.h>

static const uint64_t QUEUE_NS = (uint64_t)PACE_QUEUE_MS * 1000 * 1000;

void pace_init(struct pace *p)
{
	*p = (struct pace){.window = PACE_FIRST};
}

void pace_begin(struct pace *p, uint64_t ns)
{
	assert(p->count < PACE_MAX);
	p->begun[(p->first + p->count++) % PACE_MAX] = ns;
}

void pace_undo(struct pace *p)
{
	assert(p->count > 0);
	p->count--;
}

/* With the smallest window there is no line of our own, so that is how long it takes now. */
static void note_time(struct pace *p, uint64_t began, uint64_t took)
{
	bool alone = p->window == PACE_MIN && began >= p->shrunk;

	if (p->shortest == 0 || took < p->shortest || alone)
		p->shortest = MAX_OF(took, 1UL);
}

static void grow(struct pace *p)
{
	if (++p->grown < PACE_STEP)
		return;
	p->grown = 0;
	p->window = MIN_OF(p->window + 1, (unsigned)PACE_MAX);
}

/* To as many as the line bears, by how long this one took; at least one less. */
static void shrink(struct pace *p, uint64_t took, uint64_t ns)
{
	uint64_t fit =
		(uint64_t)((double)p->window * (double)(p->shortest + QUEUE_NS) / (double)took);

	p->grown = 0;
	p->shrunk = ns;
	p->window = MAX_OF((unsigned)MIN_OF(fit, p->window - 1UL), (unsigned)PACE_MIN);
}

void pace_end(struct pace *p, uint64_t ns)
{
	uint64_t began = p->begun[p->first], took = ns - began;

	assert(p->count > 0);
	p->first = (p->first + 1) % PACE_MAX;
	p->count--;
	note_time(p, began, took);
	if (took <= p->shortest + QUEUE_NS)
		grow(p);
	else if (began >= p->shrunk)
		shrink(p, took, ns);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Repeatable random numbers (the splitmix64 sequence); see rnd.h. */
#include "rnd.h"

#include <stdlib.h>

enum { FIXED_SEED = 20240817 };

uint64_t rnd_seed(void)
{
	const char *text = getenv("TEST_SEED");

	return text && *text ? strtoull(text, NULL, 0) : FIXED_SEED;
}

void rnd_init(struct rnd *r, uint64_t stream)
{
	r->state = rnd_seed() ^ (stream * 0xd1342543de82ef95ULL);
	rnd_next(r);
}

uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t rnd_below(struct rnd *r, uint64_t n)
{
	return rnd_next(r) % n;
}

bool rnd_once_in(struct rnd *r, unsigned n)
{
	return rnd_below(r, n) == 0;
}

void rnd_fill(struct rnd *r, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rnd_next(r);
}

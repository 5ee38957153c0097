/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers that can be repeated: the seed comes from the environment variable TEST_SEED or
 * is a fixed number. A test that fails prints rnd_seed(), so that the run can be repeated.
 */
#ifndef TESTS_LIB_RND_H
#define TESTS_LIB_RND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rnd {
	uint64_t state;
};

uint64_t rnd_seed(void);

/* Stream number STREAM of the seed: every case of a test has its own. */
void rnd_init(struct rnd *r, uint64_t stream);
uint64_t rnd_next(struct rnd *r);

/* In [0, n); n > 0. */
uint64_t rnd_below(struct rnd *r, uint64_t n);
/* True once in N times. */
bool rnd_once_in(struct rnd *r, unsigned n);
void rnd_fill(struct rnd *r, void *bytes, size_t len);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The forecast: the next wait is as long as the mean of the last few. A wait slept through is
 * measured with the time it takes to be woken, about as long again, so looking begins below two
 * budgets. A single long wait stops it until short
 * ones follow.
 */
#include "spin.h"

#include "util.h"

enum { WEIGHT = 4 };

void spin_init(struct spin *s, uint64_t budget_ns)
{
	s->budget = budget_ns;
	s->mean = SPIN_CAP * budget_ns;
}

bool spin_is_worth(const struct spin *s)
{
	return s->mean < 2 * s->budget;
}

void spin_learn(struct spin *s, uint64_t ns)
{
	uint64_t sample = MIN_OF(ns, SPIN_CAP * s->budget);

	s->mean = s->mean - s->mean / WEIGHT + sample / WEIGHT;
}

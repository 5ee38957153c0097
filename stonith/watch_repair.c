/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether, and when; see watch_repair.h. Who does it is watch_own.c. */
#include "watch_repair.h"

#include "util.h"

enum watch_repair_step watch_repair_decide(
	const struct watch_repair_view *v, uint64_t now, uint64_t *ret_at)
{
	if (v->off == 0)
		return WATCH_REPAIR_REST;
	*ret_at = MAX_OF(v->off_since + v->lease, v->not_before);
	if (now < *ret_at || v->looked < *ret_at)
		return WATCH_REPAIR_WAIT;
	return v->on == 0 && v->unknown == 0 ? WATCH_REPAIR_WRONG : WATCH_REPAIR_ACT;
}

uint64_t watch_repair_gap(unsigned fails, uint64_t interval)
{
	uint64_t gap = interval;

	while (--fails > 0 && gap < WATCH_REPAIR_GAP_MAX)
		gap *= 2;
	return MIN_OF(gap, (uint64_t)WATCH_REPAIR_GAP_MAX);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Due dates and deadlines; see schedule.h. Called before a run, and by those who look at copies. No
 * sum can wrap: spans are some years at most, and times are compared before they are subtracted. */
#include "schedule.h"

#include "util.h"

#include <stdio.h>

enum { MINUTE = 60, DAY = 86400, SLACK = 8 };

uint64_t schedule_limit(uint64_t every, uint64_t max_age)
{
	return (max_age ? max_age : 2 * every) * SCHEDULE_HOUR;
}

bool schedule_is_due(uint64_t now, uint64_t last_good, uint64_t every)
{
	uint64_t span = every * SCHEDULE_HOUR;

	span -= MIN_OF(span / SLACK, (uint64_t)SCHEDULE_HOUR);
	return last_good == 0 || last_good > now || now - last_good >= span;
}

uint64_t schedule_missed(uint64_t now, uint64_t last_good, uint64_t limit)
{
	if (last_good == 0)
		return UINT64_MAX;
	return last_good <= now && now - last_good > limit ? now - last_good - limit : 0;
}

void schedule_span(uint64_t seconds, char *out, size_t room)
{
	unsigned long long s = seconds;

	if (s < 2 * MINUTE)
		snprintf(out, room, "%llu s", s);
	else if (s < 2 * SCHEDULE_HOUR)
		snprintf(out, room, "%llu min", s / MINUTE);
	else if (s < 2 * DAY)
		snprintf(out, room, "%llu h", s / SCHEDULE_HOUR);
	else
		snprintf(out, room, "%llu days", s / DAY);
}

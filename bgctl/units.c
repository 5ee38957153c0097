/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes, times and shares as text, in whole numbers: a double would round 99.96 % up to "100.0 %".
 * Any number a server may send has a text, so nothing here overflows.
 */
#include "units.h"

#include "util.h"

#include <stdio.h>

void units_size(char out[UNITS_MAX], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	unsigned shift = 0;

	while (bytes >> shift >= 1024)
		shift += 10;
	if (shift == 0)
		snprintf(out, UNITS_MAX, "%llu B", (unsigned long long)bytes);
	else
		snprintf(out, UNITS_MAX, "%u.%u %ciB", (unsigned)(bytes >> shift),
			(unsigned)((bytes >> (shift - 10) & 1023) * 10 / 1024),
			units[shift / 10 - 1]);
}

void units_time(char out[UNITS_MAX], uint64_t seconds)
{
	unsigned long long minutes = seconds / 60, hours = minutes / 60;

	if (hours >= 48)
		snprintf(out, UNITS_MAX, "%llu d %llu h", hours / 24, hours % 24);
	else if (hours > 0)
		snprintf(out, UNITS_MAX, "%llu h %02llu min", hours, minutes % 60);
	else if (minutes > 0)
		snprintf(out, UNITS_MAX, "%llu min %02llu s", minutes,
			(unsigned long long)seconds % 60);
	else
		snprintf(out, UNITS_MAX, "%llu s", (unsigned long long)seconds);
}

unsigned units_share(uint64_t part, uint64_t whole)
{
	if (part >= whole)
		return 1000;
	return (unsigned)((unsigned __int128)part * 1000 / whole);
}

void units_percent(char out[UNITS_MAX], unsigned share)
{
	snprintf(out, UNITS_MAX, "%u.%u %%", share / 10, share % 10);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of /proc/diskstats; see iostat_disk.h. Pure. Newer kernels have more numbers at the end, of
 * which none is wanted; of fewer than eleven the line is not understood.
 */
#include "iostat_disk.h"

#include <stdio.h>
#include <string.h>

enum { SECTOR = 512, LINE_ROOM = 512, NUMBERS = 11 };

/* Where in the line they are, from 0 behind the device's name. */
enum { READS = 0, SECTORS_READ = 2, WRITES = 4, SECTORS_WRITTEN = 6, IN_FLIGHT = 8, QUEUE_MS = 10 };

static bool take_numbers(const char *text, unsigned long long n[NUMBERS])
{
	for (int i = 0; i < NUMBERS; i++) {
		int used = 0;

		if (sscanf(text, " %20llu%n", &n[i], &used) != 1)
			return false;
		text += used;
	}
	return true;
}

bool iostat_disk_parse(const char **text, struct iostat_disk *ret)
{
	size_t len = strcspn(*text, "\n");
	char line[LINE_ROOM];
	unsigned long long n[NUMBERS];
	struct iostat_disk d = {0};
	int used = 0;

	snprintf(line, sizeof(line), "%.*s", (int)(len < LINE_ROOM ? len : LINE_ROOM - 1), *text);
	*text += len + ((*text)[len] == '\n');
	if (len >= LINE_ROOM ||
		sscanf(line, " %9u %9u %63s%n", &d.major, &d.minor, d.device, &used) != 3 ||
		!take_numbers(line + used, n))
		return false;
	d.counts = (struct iostat_counts){.reads = n[READS],
		.writes = n[WRITES],
		.read = (uint64_t)n[SECTORS_READ] * SECTOR,
		.written = (uint64_t)n[SECTORS_WRITTEN] * SECTOR,
		.in_flight = n[IN_FLIGHT],
		.queue_ms = n[QUEUE_MS]};
	*ret = d;
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See stamp.h. Pure; a stamp cut by the end of a piece is not looked at. */
#include "stamp.h"

#include "buf.h"

void stamp_fill(uint8_t *p, size_t len, uint64_t offset, uint64_t seed)
{
	for (size_t i = 0; i < len; i += STAMP_SECTOR)
		set_u64(p + i, (offset + i) ^ seed);
}

uint64_t stamp_faults(const uint8_t *p, size_t len, uint64_t offset, uint64_t seed, bool filled)
{
	size_t i = (STAMP_SECTOR - offset % STAMP_SECTOR) % STAMP_SECTOR;
	uint64_t faults = 0;

	for (; i + 8 <= len; i += STAMP_SECTOR) {
		uint64_t got = get_u64(p + i);

		faults += got != ((offset + i) ^ seed) && (got != 0 || filled);
	}
	return faults;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every harness has: the entry libFuzzer calls, and REQUIRE, which is not compiled out. A
 * harness returns 0 for every input or ends the process.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

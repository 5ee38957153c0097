/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers every layer uses: arrays, embedded structs, checked sums, scoped clean-up. */
#ifndef LIB_UTIL_H
#define LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct that holds MEMBER at address PTR. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The names differ, so that one may stand in the other. */
#define UTIL_JOIN_(a, b) a##b
#define UTIL_JOIN(a, b)  UTIL_JOIN_(a, b)
#define UTIL_CHOOSE(a, b, op, x, y)                                                                \
	({                                                                                         \
		__auto_type x = (a);                                                               \
		__auto_type y = (b);                                                               \
		x op y ? x : y;                                                                    \
	})
#define MIN_OF(a, b) UTIL_CHOOSE(a, b, <, UTIL_JOIN(a_, __COUNTER__), UTIL_JOIN(b_, __COUNTER__))
#define MAX_OF(a, b) UTIL_CHOOSE(a, b, >, UTIL_JOIN(a_, __COUNTER__), UTIL_JOIN(b_, __COUNTER__))

/* True if [offset, offset + length) lies inside [0, size); no sum can wrap. */
static inline bool range_inside(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

static inline bool is_power_of_2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static inline uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n - n % unit;
}

/* The caller guarantees that N + UNIT does not wrap (sizes are at most 2^63 - 1). */
static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
	return round_down(n + unit - 1, unit);
}

/* For locals that never leave the function. */
static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_)))
#define CLEANUP_FD   __attribute__((cleanup(cleanup_fd_), unused))

/* Closes *FD if open and forgets it, so that a second call is harmless. */
static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#endif

# SPDX-License-Identifier: GPL-2.0-or-later
"""A clock of the wall for programs of a test: as the machine's, which is not touched, but set to
another time, or jumping to and fro with each look at it."""

import os
import struct

# WALL_CLOCK names a file with three numbers: seconds that are added, how far it swings, and how
# often it was looked at. A program may look before its constructors are called, and one that cannot
# open the file has the real time.
SOURCE = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct clock {
	long ahead, swing, looks;
};
static struct clock real;
static volatile struct clock *clock_of_wall = &real;

__attribute__((constructor)) static void start(void)
{
	int fd = open(getenv("WALL_CLOCK"), O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, sizeof(real), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at != MAP_FAILED)
		clock_of_wall = at;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);
	long n;

	if (r < 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return r;
	n = __sync_fetch_and_add(&clock_of_wall->looks, 1);
	t->tv_sec += clock_of_wall->ahead + (n % 7 - 3) * clock_of_wall->swing;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
	return 0;
}
"""


class WallClock:
    """Of programs that are started with `env`. SWING: seconds; up to three times as many, to and
    fro."""

    def __init__(self, case, swing=0, name='clock'):
        self._path = case.path(f'{name}.numbers')
        with open(self._path, 'wb') as f:
            f.write(struct.pack('@lll', 0, swing, 0))
        self.env = {**case.preload(SOURCE, name), 'WALL_CLOCK': self._path}

    def set(self, seconds):
        """So far ahead of the machine's from now on."""
        with open(self._path, 'r+b') as f:
            f.write(struct.pack('@l', seconds))

    def looks(self):
        """How often a program has asked for the time of day."""
        with open(self._path, 'rb') as f:
            return struct.unpack('@lll', f.read())[2]

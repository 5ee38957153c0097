# SPDX-License-Identifier: GPL-2.0-or-later
"""A clock for programs of a test: as the machine's, which is not touched, but set to another time,
or jumping to and fro with each look at it. It is that of the wall, or the steady one."""

import os
import struct

# WALL_CLOCK names a file with three numbers: seconds that are added, how far it swings, and how
# often it was looked at. A program may look before its constructors are called, and one that cannot
# open the file has the real time, as one of another name than WALL_CLOCK_ONLY, if that is set.
SOURCE = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
	const char *only = getenv("WALL_CLOCK_ONLY");
	int is_meant = !only || strcmp(only, program_invocation_short_name) == 0;
	int fd = is_meant ? open(getenv("WALL_CLOCK"), O_RDWR | O_CLOEXEC) : -1;
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

	if (r < 0 || !(MEANT))
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
    fro. ONLY: the name of the program whose clock it is, and not that of what it starts."""
    MEANT = 'id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE'

    def __init__(self, case, swing=0, name='clock', only=None):
        self._path = case.path(f'{name}.numbers')
        with open(self._path, 'wb') as f:
            f.write(struct.pack('@lll', 0, swing, 0))
        source = SOURCE.replace('MEANT', self.MEANT)
        self.env = {**case.preload(source, name), 'WALL_CLOCK': self._path}
        if only:
            self.env['WALL_CLOCK_ONLY'] = only

    def set(self, seconds):
        """So far ahead of the machine's from now on."""
        with open(self._path, 'r+b') as f:
            f.write(struct.pack('@l', seconds))

    def looks(self):
        """How often a program has asked for the time of day."""
        with open(self._path, 'rb') as f:
            return struct.unpack('@lll', f.read())[2]


class SteadyClock(WallClock):
    """The one that programs measure times with."""
    MEANT = 'id == CLOCK_MONOTONIC'

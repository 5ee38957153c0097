/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times of the last requests in a file, under a lock. The file is small and read whole; it lies in
 * the run directory, so it need not survive anything: a torn one counts for what can be read of it.
 */
#include "proxy_rate.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { TEXT_MAX = PROXY_RATE_MAX * 22, LOCK_TRIES = 50, LOCK_PAUSE = 20 };

static void forget(struct proxy_rate *r, uint64_t now, uint64_t window)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++) {
		if (r->times[i] <= now && now - r->times[i] < window)
			r->times[kept++] = r->times[i];
	}
	r->count = kept;
}

bool proxy_rate_add(struct proxy_rate *r, uint64_t now, uint64_t window, size_t limit)
{
	forget(r, now, window);
	if (r->count >= MIN_OF(limit, (size_t)PROXY_RATE_MAX))
		return false;
	r->times[r->count++] = now;
	return true;
}

void proxy_rate_remove(struct proxy_rate *r, uint64_t time)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->times[i] == time) {
			memmove(r->times + i, r->times + i + 1,
				(r->count - i - 1) * sizeof(r->times[0]));
			r->count--;
			return;
		}
	}
}

void proxy_rate_parse(struct proxy_rate *r, const char *text)
{
	r->count = 0;
	while (*text && r->count < PROXY_RATE_MAX) {
		size_t len = strcspn(text, "\n");
		char line[24];

		if (len < sizeof(line)) {
			memcpy(line, text, len);
			line[len] = 0;
			if (str_number(line, 0, UINT64_MAX, &r->times[r->count]) == 0)
				r->count++;
		}
		text += len + (text[len] == '\n');
	}
}

static uint64_t boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Nobody holds it for longer than a read and a write; but who has the file could. */
static int lock(int fd)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE * 1000 * 1000};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

static int store(int fd, const struct proxy_rate *r)
{
	char text[TEXT_MAX];
	size_t len = 0;
	ssize_t n;

	for (size_t i = 0; i < r->count; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "%" PRIu64 "\n", r->times[i]);
	n = pwrite(fd, text, len, 0);
	if (n < 0 || ftruncate(fd, (off_t)len) < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

/* Locks FD until it is closed, and reads it. */
static int load(int fd, struct proxy_rate *r)
{
	char text[TEXT_MAX + 1];
	ssize_t len;
	int ret = lock(fd);

	if (ret < 0)
		return ret;
	len = pread(fd, text, TEXT_MAX, 0);
	if (len < 0)
		return -errno;
	text[len] = 0;
	proxy_rate_parse(r, text);
	return 0;
}

static int count(int fd, uint64_t window, size_t limit, uint64_t *ret_time)
{
	struct proxy_rate r;
	int ret = load(fd, &r);

	if (ret < 0)
		return ret;
	*ret_time = boot_ms(); /* under the lock, so that times ascend */
	if (!proxy_rate_add(&r, *ret_time, window, limit))
		return 0;
	ret = store(fd, &r);
	return ret < 0 ? ret : 1;
}

int proxy_rate_take(
	const char *path, uint64_t window, size_t limit, uint64_t *ret_time, struct err *err)
{
	int fd CLEANUP_FD = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	uint64_t now = 0;
	int ret = fd < 0 ? -errno : count(fd, window, limit, &now);

	if (ret < 0)
		return err_sys(err, -ret, "%.300s", path);
	*ret_time = now;
	return ret;
}

int proxy_rate_give_back(const char *path, uint64_t time, struct err *err)
{
	int fd CLEANUP_FD = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct proxy_rate r;
	int ret = fd < 0 ? -errno : load(fd, &r);

	if (ret == 0) {
		proxy_rate_remove(&r, time);
		ret = store(fd, &r);
	}
	return ret < 0 ? err_sys(err, -ret, "%.300s", path) : 0;
}

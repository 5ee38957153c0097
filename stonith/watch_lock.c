/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows lock files by inotify: who has got a lock writes its name into the file (lease.c), which
 * is seen as a change.
 */
#include "watch_lock.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

enum { ROOM = 4096 };

static void tell(struct watch_lock *l, char *name)
{
	char *dot = strrchr(name, '.');

	if (!dot || strcmp(dot, ".lock") != 0)
		return;
	*dot = 0;
	l->taken(l->arg, name);
}

static void on_event(struct reactor_watch *w, uint32_t events)
{
	struct watch_lock *l = container_of(w, struct watch_lock, watch);
	char buffer[ROOM] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->fd, buffer, sizeof(buffer));

	(void)events;
	for (ssize_t at = 0; at < n;) {
		struct inotify_event *e = (void *)(buffer + at);

		at += (ssize_t)(sizeof(*e) + e->len);
		if (e->len > 0)
			tell(l, e->name);
	}
}

int watch_lock_init(struct watch_lock *l, struct reactor *r,
	void (*taken)(void *arg, const char *node), void *arg)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), ret;

	*l = (struct watch_lock){.reactor = r, .watch.fd = -1, .taken = taken, .arg = arg};
	if (fd < 0)
		return -errno;
	ret = reactor_add(r, &l->watch, fd, EPOLLIN, on_event);
	if (ret < 0) {
		close(fd);
		l->watch.fd = -1;
	}
	return ret;
}

void watch_lock_done(struct watch_lock *l)
{
	if (l->watch.fd < 0)
		return;
	reactor_remove(l->reactor, &l->watch);
	fd_close(&l->watch.fd);
}

int watch_lock_follow(struct watch_lock *l, const char *dir)
{
	if (l->watch.fd < 0)
		return -EBADF;
	return inotify_add_watch(l->watch.fd, dir, IN_MODIFY) < 0 ? -errno : 0;
}

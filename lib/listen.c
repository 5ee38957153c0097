/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening as options say; see listen.h. */
#include "listen.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { RETRIES = 8, RETRY_MS = 50 };

static int open_unix(const char *path, mode_t mode, struct listeners *l, struct err *err)
{
	int fd;

	if (l->sockets.count == SOCK_LISTEN_MAX)
		return err_set(err, EINVAL, "more than %d listening addresses", SOCK_LISTEN_MAX);
	fd = sock_listen_unix(path, mode, err);
	if (fd < 0)
		return fd;
	l->sockets.fds[l->sockets.count++] = fd;
	l->paths[l->path_count++] = path;
	return 0;
}

static int open_all(const struct listen_wish *wish, struct listeners *l, struct err *err)
{
	bool everywhere = wish->addresses->count == 0 && wish->paths->count == 0;
	int ret = everywhere ? sock_listen_tcp(NULL, wish->port, &l->sockets, err) : 0;

	for (size_t i = 0; ret == 0 && i < wish->addresses->count; i++)
		ret = sock_listen_tcp(wish->addresses->items[i], wish->port, &l->sockets, err);
	for (size_t i = 0; ret == 0 && i < wish->paths->count; i++)
		ret = open_unix(wish->paths->items[i], wish->mode, l, err);
	return ret;
}

/* A predecessor that was killed holds its sockets for some more milliseconds. */
static int open_patiently(const struct listen_wish *wish, struct listeners *l, struct err *err)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	int ret = open_all(wish, l, err);

	for (int i = 0; ret == -EADDRINUSE && i < RETRIES; i++) {
		listen_remove_files(l);
		listen_close(l);
		nanosleep(&pause, NULL);
		ret = open_all(wish, l, err);
	}
	return ret;
}

int listen_open(const struct listen_wish *wish, struct listeners *ret, struct err *err)
{
	struct listeners l = {0};
	int r = sock_activated(&l.sockets);

	if (r < 0)
		return err_set(err, EINVAL, "LISTEN_FDS: must be a number of sockets up to %d",
			SOCK_LISTEN_MAX);
	if (r == 0)
		r = open_patiently(wish, &l, err);
	if (r < 0) {
		listen_remove_files(&l);
		listen_close(&l);
		return r;
	}
	*ret = l;
	return 0;
}

void listen_remove_files(struct listeners *l)
{
	while (l->path_count > 0)
		unlink(l->paths[--l->path_count]);
}

void listen_close(struct listeners *l)
{
	sock_list_close(&l->sockets);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening as options say; see listen.h. */
#include "listen.h"

#include "str.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RETRIES = 8, RETRY_MS = 50 };

int listen_parse(const char *text, struct listen_place *ret, struct err *err)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	struct listen_place place = {0};
	uint64_t port = 0;

	if (*text == '/') {
		*ret = (struct listen_place){.path = text};
		return 0;
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(text, ':', len) || memchr(text, '[', len)) {
		len = 0; /* which colon is it? */
	}
	if (!len || len >= sizeof(place.host) || str_number(colon + 1, 1, UINT16_MAX, &port) < 0)
		return err_set(err, EINVAL,
			"\"%.200s\": must be ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or /PATH", text);
	if (len != 1 || *host != '*')
		memcpy(place.host, host, len);
	place.port = (uint16_t)port;
	*ret = place;
	return 0;
}

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

static int open_places(const struct listen_wish *wish, struct listeners *l, struct err *err)
{
	struct listen_place place;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < wish->places->count; i++) {
		ret = listen_parse(wish->places->items[i], &place, err);
		if (ret == 0 && place.path)
			ret = open_unix(place.path, wish->mode, l, err);
		else if (ret == 0)
			ret = sock_listen_tcp(
				*place.host ? place.host : NULL, place.port, &l->sockets, err);
	}
	return ret;
}

static int open_all(const struct listen_wish *wish, struct listeners *l, struct err *err)
{
	bool everywhere = wish->addresses->count == 0 && wish->paths->count == 0;
	int ret;

	if (wish->places && wish->places->count)
		return open_places(wish, l, err);
	ret = everywhere ? sock_listen_tcp(NULL, wish->port, &l->sockets, err) : 0;
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

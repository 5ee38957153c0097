/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and binding the sockets, the one part that may need rights. Both families get the same
 * port, so that a firewall needs one rule; a family this host does not have is left out.
 */
#include "net.h"

#include "log.h"
#include "reserved.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
	ROOM_WANTED = 4 * 1024 * 1024, /* bytes; the kernel doubles it for its own needs */
	ROOM_OF_REPLY = 2560,          /* that a short reply takes at most, most of it overhead */
};

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Without the right to pass the system's limit it is as large as that. */
static void make_room(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, ROOM_WANTED) < 0)
		set(fd, SOL_SOCKET, SO_RCVBUF, ROOM_WANTED);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, ROOM_WANTED) < 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, ROOM_WANTED);
}

static uint32_t replies_in(int fd)
{
	int room = 0;
	socklen_t len = sizeof(room);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, &len) < 0 || room < ROOM_OF_REPLY)
		return 1;
	return (uint32_t)room / ROOM_OF_REPLY;
}

static int new_socket(bool v6)
{
	int fd = socket(
		v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	int r;

	if (fd < 0)
		return -errno;
	make_room(fd);
	r = v6 ? set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
	if (r == 0)
		r = v6 ? set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
		       : set(fd, IPPROTO_IP, IP_RECVERR, 1);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static int open_one(struct net *n, bool v6, const struct self *self, uint16_t port)
{
	struct net_socket *s = &n->socket[v6 ? NET_V6 : NET_V4];
	int r;

	s->fd = new_socket(v6);
	if (s->fd < 0) {
		r = s->fd;
		s->fd = -1;
		return r;
	}
	r = self_bind(self, s->fd, v6, port);
	if (r < 0)
		fd_close(&s->fd);
	return r;
}

/* One family is enough, but a port has to be free in both. */
static int open_both(struct net *n, const struct self *self, uint16_t port)
{
	int r4 = open_one(n, false, self, port), r6 = open_one(n, true, self, port);
	int taken = r4 == -EADDRINUSE || r6 == -EADDRINUSE ? -EADDRINUSE : 0;

	if (!taken && (r4 == 0 || r6 == 0))
		return 0;
	fd_close(&n->socket[NET_V4].fd);
	fd_close(&n->socket[NET_V6].fd);
	if (taken)
		return taken;
	return r4 == -ENODATA || r4 == -EAFNOSUPPORT ? r6 : r4;
}

static int open_reserved(struct net *n, const struct self *self)
{
	struct reserved ports;
	uint32_t start = 0;
	int r = -EADDRINUSE;

	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) < 0)
		start = (uint32_t)getpid();
	reserved_init(&ports, NULL, start);
	for (uint32_t i = 0; i < RESERVED_COUNT && r == -EADDRINUSE; i++) {
		uint16_t port = reserved_port(&ports, i);

		if (port)
			r = open_both(n, self, port);
	}
	return r;
}

static int open_default(struct net *n, const struct self *self)
{
	int r = open_reserved(n, self);

	if (r != -EADDRINUSE && r != -EACCES && r != -EPERM)
		return r;
	log_warn("no reserved port to send from (%s): any other will do", strerror(-r));
	return open_both(n, self, 0);
}

static int explain(int r, const struct self *self, uint16_t port, struct err *err)
{
	if (r == -EADDRNOTAVAIL && self->count > 0)
		return err_set(err, -r, "%s: not an address of this host", self->name);
	if (port)
		return err_sys(err, -r, "cannot send from port %u", port);
	return err_sys(err, -r, "cannot open a socket");
}

int net_open(struct net *n, const struct self *self, uint16_t port, struct err *err)
{
	int r;

	memset(n, 0, sizeof(*n));
	n->socket[NET_V4] = n->socket[NET_V6] = (struct net_socket){.net = n, .fd = -1};
	r = port ? open_both(n, self, port) : open_default(n, self);
	if (r < 0)
		return explain(r, self, port, err);
	n->window = UINT32_MAX;
	for (int i = NET_V4; i <= NET_V6; i++) {
		if (n->socket[i].fd >= 0)
			n->window = MIN_OF(n->window, replies_in(n->socket[i].fd));
	}
	return 0;
}

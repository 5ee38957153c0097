/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream sockets: listening on TCP and unix addresses, systemd activation, peers, and file
 * descriptors sent along. Every socket is CLOEXEC and non-blocking from birth.
 */
#ifndef LIB_SOCK_H
#define LIB_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "peers.h"

enum { SOCK_LISTEN_MAX = 64, SOCK_NAME_MAX = 128, SOCK_UNIX_PATH_MAX = 107 };

struct sock_list {
	size_t count;
	int fds[SOCK_LISTEN_MAX];
};

void sock_list_close(struct sock_list *list);

/*
 * Listens on every address HOST stands for (NULL: all of IPv4 and all of IPv6; a host without
 * IPv6 is served on IPv4 alone) and appends to LIST. 0 or -errno with one line in ERR.
 */
int sock_listen_tcp(const char *host, uint16_t port, struct sock_list *list, struct err *err);

/*
 * Listens on the unix socket PATH with MODE. A socket file nobody listens on is taken over, a live
 * one gives -EADDRINUSE, anything that is no socket -EEXIST. Returns the fd.
 */
int sock_listen_unix(const char *path, mode_t mode, struct err *err);

/* Blocking connect; returns a blocking fd. */
int sock_connect_unix(const char *path, struct err *err);
/* Never waits: the fd, non-blocking, or -EAGAIN if too many wait already, or -errno. */
int sock_try_unix(const char *path);

/* sd_listen_fds(3) protocol: appends the sockets systemd passed to us and unsets its variables.
 * Returns how many, or -EINVAL for a number that is none or too high. */
int sock_activated(struct sock_list *list);

/* True for a socket in the listening state. */
bool sock_is_listening(int fd);

/* accept4, with TCP_NODELAY, keepalive (dead peers go within two minutes). -EAGAIN: no one waits.
 */
int sock_accept(int fd);
/* The same settings for a socket that came from elsewhere; makes it non-blocking. */
void sock_prepare(int fd);
/* Gives a unix socket room for some long replies, so that sender and receiver need not take turns;
 * false if nothing changed. */
bool sock_grow(int fd);

struct sock_peer {
	char name[SOCK_NAME_MAX]; /* "192.0.2.1:4711", "[::1]:4711", "unix:uid=1000,pid=12" */
	char host[SOCK_NAME_MAX]; /* the same without port and pid: what limits count by */
	bool local;               /* unix socket */
	struct peers_id id;       /* for access rules */
};

/* False: it is no connected socket (any more), and "unknown". */
bool sock_peer(int fd, struct sock_peer *ret);
/* Where a listening socket listens, as text. */
void sock_local_name(int fd, char *out, size_t room);

/* sendmsg/recvmsg with at most one fd (-1 = none). Return bytes, or -errno. *ret_fd is -1 or new.
 */
ssize_t sock_send_fd(int sock, const void *bytes, size_t len, int fd);
ssize_t sock_recv_fd(int sock, void *bytes, size_t room, int *ret_fd);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program listens on for its clients, from its options or from systemd. */
#ifndef LIB_LISTEN_H
#define LIB_LISTEN_H

#include <sys/types.h>

#include "opt.h"
#include "sock.h"

struct listen_wish {
	const struct opt_list *addresses; /* TCP */
	uint16_t port;
	const struct opt_list *paths;  /* unix sockets; given alone, there is no TCP */
	const struct opt_list *places; /* for listen_parse(), instead of the others; NULL = none */
	mode_t mode;                   /* of unix sockets */
};

/* One place: a port of an address, or a path. */
struct listen_place {
	const char *path; /* unix; NULL = TCP */
	char host[256];   /* "" = all of IPv4 and IPv6 */
	uint16_t port;
};

/* "ADDRESS:PORT", "[ADDRESS]:PORT", "*:PORT" or "/PATH". 0, or -EINVAL with a line. RET borrows. */
int listen_parse(const char *text, struct listen_place *ret, struct err *err);

struct listeners {
	struct sock_list sockets;
	const char *paths[SOCK_LISTEN_MAX]; /* files bound by us (not by systemd); borrowed */
	size_t path_count;
};

/*
 * Sockets passed by systemd are taken instead of WISH. No addresses, paths or places: all of IPv4
 * and IPv6. What is in use is tried again for 0.4 s. 0 or -errno with a line; then nothing stays
 * open.
 */
int listen_open(const struct listen_wish *wish, struct listeners *ret, struct err *err);

/* Removes the files. To be called while the sockets still listen: a successor that found them dead
 * could otherwise lose its own. */
void listen_remove_files(struct listeners *l);
void listen_close(struct listeners *l);

#endif

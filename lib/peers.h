/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of peers, for access rules: networks of IPv4 and IPv6, and users of unix sockets.
 *
 *	all  unix  192.0.2.7  192.0.2.0/24  2001:db8::/32  uid:1000  gid:100  user:NAME  group:NAME
 *
 * Pure but for NAMEs, which are looked up when a rule is read.
 */
#ifndef LIB_PEERS_H
#define LIB_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

enum peers_kind { PEERS_ALL, PEERS_UNIX, PEERS_IPV4, PEERS_IPV6, PEERS_UID, PEERS_GID };

enum { PEERS_MAX = 1024, PEERS_TEXT_MAX = 128, PEERS_GROUPS_MAX = 64 };

/* Of fixed size and without pointers: it crosses from the master to the negotiator as it is. */
struct peers_rule {
	uint32_t kind;    /* enum peers_kind */
	uint32_t id;      /* UID, GID */
	uint32_t prefix;  /* IPV4, IPV6: bits that count */
	uint8_t addr[16]; /* IPV4: the first four */
};

struct peers {
	struct peers_rule *rules;
	size_t count;
};

/* Who is at the other end of a socket. An IPv4 peer of an IPv6 socket is an IPv4 peer. */
struct peers_id {
	enum peers_kind kind; /* IPV4, IPV6 or UNIX; ALL: not known, matched by "all" only */
	uint8_t addr[16];
	uint32_t uid, gid; /* UNIX */
	uint32_t group_count;
	uint32_t groups[PEERS_GROUPS_MAX]; /* UNIX: the others it is in, as many as fit */
};

/* Bits of an address behind the prefix are an error, for they hide a mistake. 0 or -EINVAL. */
int peers_parse(const char *text, struct peers_rule *ret, struct err *err);
void peers_print(const struct peers_rule *rule, char out[PEERS_TEXT_MAX]);

/* 0, -EINVAL, -E2BIG (PEERS_MAX) or -ENOMEM. */
int peers_add(struct peers *list, const char *text, struct err *err);
int peers_copy(struct peers *to, const struct peers *from); /* TO is overwritten; 0 or -ENOMEM */
bool peers_equal(const struct peers *a, const struct peers *b);
void peers_done(struct peers *list);

/* Those of IPv4 and IPv6; users of unix sockets are known to sock_peer(). */
void peers_identify(const struct sockaddr *peer, struct peers_id *ret);

bool peers_match(const struct peers *list, const struct peers_id *id);
/* What DENY names stays out; of the others those that ALLOW names, or all if it is empty, enter. */
bool peers_admit(const struct peers *allow, const struct peers *deny, const struct peers_id *id);

#endif

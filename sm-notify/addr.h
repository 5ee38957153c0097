/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address of a peer: IPv4 or IPv6, with the interface where one belongs to it. IPv4 is kept as
 * ::ffff:a.b.c.d, and "::ffff:10.0.0.2" as text means 10.0.0.2, so that each address has one form.
 */
#ifndef SM_NOTIFY_ADDR_H
#define SM_NOTIFY_ADDR_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	ADDR_TEXT_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE, /* "fe80::1%eth0" */
	ADDR_UNIVERSAL_MAX = INET6_ADDRSTRLEN + 8           /* "fd77::2.155.219" */
};

struct addr {
	uint8_t ip[16];
	uint32_t scope; /* number of the interface, of link-local IPv6 addresses alone; else 0 */
};

/* A buffer that holds a sockaddr of either family. */
union addr_sock {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/*
 * Address literals only, no names: "10.0.0.2" (four parts), "fd77::2", "fe80::1%eth0", "fe80::1%2".
 * False for everything else; an interface that is not there makes no literal.
 */
bool addr_parse(const char *text, struct addr *ret);
void addr_print(const struct addr *a, char out[ADDR_TEXT_MAX]);

void addr_set_v4(struct addr *a, const struct in_addr *ip);
bool addr_is_v4(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);

socklen_t addr_to_sock(const struct addr *a, uint16_t port, union addr_sock *ret);
/* False: neither family. PORT may be NULL. */
bool addr_from_sock(const struct sockaddr *sa, struct addr *ret, uint16_t *port);

/* RFC 5665, 5.2.3.3: host, then high and low byte of the port. */
void addr_universal(const struct addr *a, uint16_t port, char out[ADDR_UNIVERSAL_MAX]);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tie-break: does the network still answer us? Who is cut off must not shoot. ICMP echo (IPv4
 * and IPv6) by the kernel's sockets for everybody, or raw ones where those are not allowed.
 */
#ifndef STONITH_PING_H
#define STONITH_PING_H

#include "err.h"
#include "key.h"

#include <stdint.h>

/*
 * Asks all TARGETS (literal addresses) every PING_EVERY_MS until the first answer, for up to
 * WAIT_MS; blocks. 0: somebody answered, or there are no targets. -EHOSTUNREACH: nobody did. Other
 * -errno: it could not be asked.
 */
enum { PING_EVERY_MS = 200 };
int ping_any(const struct key_texts *targets, uint64_t wait_ms, struct err *err);

#endif

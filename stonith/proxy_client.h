/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shot by way of a host that alone reaches the PDUs (`proxy = "..."` of a node): the request goes
 * over SSH (ssh.h) in the words of proxy_wire.h. A process of its own does it, as the library
 * blocks; at the deadline it is killed, whatever it is at. Success is what the proxy has proven and
 * what the outlets it names say as well; anything else is failure.
 */
#ifndef STONITH_PROXY_CLIENT_H
#define STONITH_PROXY_CLIENT_H

#include "reactor.h"
#include "shoot.h"

/*
 * O->victim has a proxy. At most MS from now on; runs R until then. Fills fence (outlets, verdict,
 * on_failed), names, ms and text of *RET, also on failure. 0: verified. -EPERM: refused, nothing
 * was done. Other -errno: it is not certain that it was done. No lock, no audit: that is shoot()'s.
 */
int proxy_client_run(const struct shoot_order *o, uint64_t ms, struct reactor *r,
	struct shoot_result *ret, struct err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How to log in at a PDU, as a session of net-snmp that is ready to be opened. For snmp.c. */
#ifndef STONITH_SNMP_LOGIN_H
#define STONITH_SNMP_LOGIN_H

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include "config.h"

enum { SNMP_LOGIN_PEER_MAX = 128 };

struct snmp_login {
	const struct config_pdu *pdu;
	struct snmp_session wanted; /* for snmp_sess_open(); points into this struct and the PDU */
	char peer[SNMP_LOGIN_PEER_MAX], source[SNMP_LOGIN_PEER_MAX];
	const char *bad; /* why no session is possible; NULL = one is */
};

/* Sets the library up, too: once in a process. Keys of version 3 are made here. */
void snmp_login_init(struct snmp_login *l, const struct config_pdu *pdu);

#endif

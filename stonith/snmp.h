/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SNMP with one PDU, in the process of its helper (lane.h): one session of net-snmp, made when it
 * is first needed and made anew after a failure. No MIB files, no configuration files of the host,
 * no retries (the plan retries). Everything here blocks.
 *
 * A GET of several objects is cut into messages of whole groups, as what belongs to one outlet
 * should be of one moment. An object that is not there is a reading like any other, in version 1
 * too, where the agent refuses the whole message and is asked again for the rest.
 */
#ifndef STONITH_SNMP_H
#define STONITH_SNMP_H

#include "config.h"
#include "lane.h"

struct snmp_link;

/* PDU stays the caller's. NULL: no memory. Once in a process: the library is set up. */
struct snmp_link *snmp_link_new(const struct config_pdu *pdu);
void snmp_link_free(struct snmp_link *l);

/* Always makes an answer, within snmp_link_budget(). */
void snmp_link_ask(struct snmp_link *l, const struct lane_request *q, struct lane_reply *ret);

/* ms: a request may take several messages, each of which may take the PDU's timeout. */
uint64_t snmp_link_budget(const struct config_pdu *pdu);

#endif

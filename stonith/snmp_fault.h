/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What net-snmp's codes and the PDU's error statuses mean for a plan. Pure. */
#ifndef STONITH_SNMP_FAULT_H
#define STONITH_SNMP_FAULT_H

#include "fence.h"

#include <stdbool.h>

/* SNMPERR_...: the library failed, or a report of SNMPv3 came in place of an answer. */
enum fence_fault snmp_fault_library(int code);

/* SNMP_ERR_... of an answer, not 0. In version 1 a SET that may not be is "no such name". */
enum fence_fault snmp_fault_status(long status, bool was_set);

/* A type of a value that says that there is none: an exception of versions 2c and 3, or null. */
bool snmp_fault_missing(unsigned char type);

#endif

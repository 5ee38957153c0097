/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Codes of net-snmp and of agents as faults of a plan: tables. What is in none of them is a refusal
 * (an agent's) or nonsense (the library's), never a success.
 */
#include "snmp_fault.h"

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

enum fence_fault snmp_fault_library(int code)
{
	switch (code) {
	case SNMPERR_TIMEOUT:
		return FENCE_SILENT;
	case SNMPERR_BAD_SENDTO:
	case SNMPERR_BAD_ADDRESS:
	case SNMPERR_NO_SOCKET:
	case SNMPERR_BAD_LOCPORT:
		return FENCE_UNREACHABLE;
	case SNMPERR_UNKNOWN_ENG_ID:
	case SNMPERR_UNKNOWN_USER_NAME:
	case SNMPERR_UNSUPPORTED_SEC_LEVEL:
	case SNMPERR_AUTHENTICATION_FAILURE:
	case SNMPERR_NOT_IN_TIME_WINDOW:
	case SNMPERR_DECRYPTION_ERR:
	case SNMPERR_UNKNOWN_REPORT:
	case SNMPERR_USM_UNKNOWNSECURITYNAME:
	case SNMPERR_USM_UNSUPPORTEDSECURITYLEVEL:
	case SNMPERR_USM_ENCRYPTIONERROR:
	case SNMPERR_USM_AUTHENTICATIONFAILURE:
	case SNMPERR_USM_UNKNOWNENGINEID:
	case SNMPERR_USM_NOTINTIMEWINDOW:
	case SNMPERR_USM_DECRYPTIONERROR:
		return FENCE_AUTH;
	default:
		return FENCE_BROKEN;
	}
}

enum fence_fault snmp_fault_status(long status, bool was_set)
{
	switch (status) {
	case SNMP_ERR_NOSUCHNAME:
	case SNMP_ERR_READONLY:
	case SNMP_ERR_NOACCESS:
	case SNMP_ERR_NOTWRITABLE:
		return was_set ? FENCE_READ_ONLY : FENCE_REFUSED;
	case SNMP_ERR_AUTHORIZATIONERROR:
		return was_set ? FENCE_READ_ONLY : FENCE_AUTH;
	default:
		return FENCE_REFUSED;
	}
}

bool snmp_fault_missing(unsigned char type)
{
	return type == SNMP_NOSUCHOBJECT || type == SNMP_NOSUCHINSTANCE ||
		type == SNMP_ENDOFMIBVIEW || type == ASN_NULL;
}

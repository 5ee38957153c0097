/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Codes of the library and of agents: none of them is ever "no fault", and some have a meaning. */
#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include "snmp_fault.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_library(void **state)
{
	(void)state;
	for (int code = -200; code <= 200; code++)
		assert_int_not_equal(snmp_fault_library(code), FENCE_NO_FAULT);
	assert_int_equal(snmp_fault_library(SNMPERR_TIMEOUT), FENCE_SILENT);
	assert_int_equal(snmp_fault_library(SNMPERR_BAD_SENDTO), FENCE_UNREACHABLE);
	assert_int_equal(snmp_fault_library(SNMPERR_AUTHENTICATION_FAILURE), FENCE_AUTH);
	assert_int_equal(snmp_fault_library(SNMPERR_UNKNOWN_USER_NAME), FENCE_AUTH);
	assert_int_equal(snmp_fault_library(SNMPERR_BAD_PARSE), FENCE_BROKEN);
	/* What goes wrong without a code. */
	assert_int_equal(snmp_fault_library(0), FENCE_BROKEN);
}

static void test_status(void **state)
{
	static const long no_right[] = {SNMP_ERR_NOSUCHNAME, SNMP_ERR_READONLY, SNMP_ERR_NOACCESS,
		SNMP_ERR_NOTWRITABLE, SNMP_ERR_AUTHORIZATIONERROR};

	(void)state;
	for (long status = 1; status <= 40; status++) {
		assert_int_not_equal(snmp_fault_status(status, true), FENCE_NO_FAULT);
		assert_int_not_equal(snmp_fault_status(status, false), FENCE_NO_FAULT);
		assert_int_not_equal(snmp_fault_status(status, false), FENCE_READ_ONLY);
	}
	for (size_t i = 0; i < ARRAY_LEN(no_right); i++)
		assert_int_equal(snmp_fault_status(no_right[i], true), FENCE_READ_ONLY);
	assert_int_equal(snmp_fault_status(SNMP_ERR_GENERR, true), FENCE_REFUSED);
	assert_int_equal(snmp_fault_status(SNMP_ERR_INCONSISTENTVALUE, true), FENCE_REFUSED);
	assert_int_equal(snmp_fault_status(SNMP_ERR_AUTHORIZATIONERROR, false), FENCE_AUTH);
}

static void test_missing(void **state)
{
	static const unsigned char missing[] = {
		SNMP_NOSUCHOBJECT, SNMP_NOSUCHINSTANCE, SNMP_ENDOFMIBVIEW, ASN_NULL};
	static const unsigned char values[] = {ASN_INTEGER, ASN_OCTET_STR, ASN_OBJECT_ID, ASN_GAUGE,
		ASN_COUNTER, ASN_TIMETICKS, ASN_IPADDRESS, ASN_COUNTER64};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(missing); i++)
		assert_true(snmp_fault_missing(missing[i]));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		assert_false(snmp_fault_missing(values[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

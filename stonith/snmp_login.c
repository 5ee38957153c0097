/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What net-snmp needs to know for a session with a PDU: addresses, version, community or user and
 * keys. The library is set up so that nothing of the host is read or written: no MIB files, no
 * configuration, no persistent state; and that it prints nothing.
 */
#include "snmp_login.h"

#include "util.h"

#include <stdio.h>
#include <string.h>

static void set_up_library(void)
{
	static const int off[] = {NETSNMP_DS_LIB_DONT_READ_CONFIGS,
		NETSNMP_DS_LIB_DONT_PERSIST_STATE, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD,
		NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE};

	setenv("MIBS", "", 1);
	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, off[i], 1);
	snmp_disable_log();
	init_snmp("xnbd-stonith");
}

static void set_addresses(struct snmp_login *l)
{
	const struct config_pdu *p = l->pdu;
	bool six = strchr(p->address, ':');

	snprintf(l->peer, sizeof(l->peer), six ? "udp6:[%s]:%u" : "udp:%s:%u", p->address,
		(unsigned)p->port);
	l->wanted.peername = l->peer;
	if (!p->source)
		return;
	snprintf(l->source, sizeof(l->source), six ? "[%s]" : "%s", p->source);
	l->wanted.localname = l->source;
}

struct algorithm {
	const oid *name;
	size_t len;
};

/* In the order of enum config_auth and config_priv. */
static const struct algorithm auths[] = {
	[CONFIG_AUTH_NONE] = {usmNoAuthProtocol, 10},
	[CONFIG_MD5] = {usmHMACMD5AuthProtocol, 10},
	[CONFIG_SHA] = {usmHMACSHA1AuthProtocol, 10},
	[CONFIG_SHA224] = {usmHMAC128SHA224AuthProtocol, 10},
	[CONFIG_SHA256] = {usmHMAC192SHA256AuthProtocol, 10},
	[CONFIG_SHA384] = {usmHMAC256SHA384AuthProtocol, 10},
	[CONFIG_SHA512] = {usmHMAC384SHA512AuthProtocol, 10},
};

static struct algorithm cipher(int priv)
{
	switch (priv) {
	case CONFIG_DES:
		return (struct algorithm){usmDESPrivProtocol, 10};
	case CONFIG_AES:
		return (struct algorithm){usmAESPrivProtocol, 10};
	case CONFIG_AES192:
		return (struct algorithm){usmAES192PrivProtocol, OID_LENGTH(usmAES192PrivProtocol)};
	case CONFIG_AES256:
		return (struct algorithm){usmAES256PrivProtocol, OID_LENGTH(usmAES256PrivProtocol)};
	default:
		return (struct algorithm){usmNoPrivProtocol, 10};
	}
}

static bool make_key(const struct algorithm *by, const char *secret, u_char *key, size_t *len)
{
	*len = USM_AUTH_KU_LEN;
	return secret &&
		generate_Ku(by->name, (u_int)by->len, (const u_char *)secret, strlen(secret), key,
			len) == SNMPERR_SUCCESS;
}

static void set_up_v3(struct snmp_login *l)
{
	struct snmp_session *s = &l->wanted;
	const struct config_pdu *p = l->pdu;
	const struct algorithm *auth = &auths[p->auth];
	struct algorithm priv = cipher(p->priv);

	s->securityName = (char *)(uintptr_t)p->user;
	s->securityNameLen = p->user ? strlen(p->user) : 0;
	s->securityModel = SNMP_SEC_MODEL_USM;
	s->contextName = (char *)(uintptr_t)(p->context ? p->context : "");
	s->contextNameLen = strlen(s->contextName);
	s->securityLevel = p->auth == CONFIG_AUTH_NONE ? SNMP_SEC_LEVEL_NOAUTH
		: p->priv == CONFIG_PRIV_NONE          ? SNMP_SEC_LEVEL_AUTHNOPRIV
						       : SNMP_SEC_LEVEL_AUTHPRIV;
	if (p->auth == CONFIG_AUTH_NONE)
		return;
	s->securityAuthProto = (oid *)(uintptr_t)auth->name;
	s->securityAuthProtoLen = auth->len;
	if (!make_key(auth, p->auth_secret, s->securityAuthKey, &s->securityAuthKeyLen))
		l->bad = "no key can be made of the password for authentication";
	if (p->priv == CONFIG_PRIV_NONE)
		return;
	s->securityPrivProto = (oid *)(uintptr_t)priv.name;
	s->securityPrivProtoLen = priv.len;
	if (!make_key(auth, p->priv_secret, s->securityPrivKey, &s->securityPrivKeyLen))
		l->bad = "no key can be made of the password for privacy";
}

void snmp_login_init(struct snmp_login *l, const struct config_pdu *pdu)
{
	memset(l, 0, sizeof(*l));
	set_up_library();
	l->pdu = pdu;
	snmp_sess_init(&l->wanted);
	l->wanted.retries = 0;
	l->wanted.version = pdu->version == CONFIG_V3 ? SNMP_VERSION_3
		: pdu->version == CONFIG_V1           ? SNMP_VERSION_1
						      : SNMP_VERSION_2c;
	set_addresses(l);
	if (pdu->version == CONFIG_V3) {
		set_up_v3(l);
	} else {
		l->wanted.community = (u_char *)pdu->community;
		l->wanted.community_len = pdu->community ? strlen(pdu->community) : 0;
	}
}

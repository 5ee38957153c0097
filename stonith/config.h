/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stonith.conf(5): which nodes there are, which outlets of which PDUs feed them, who may shoot
 * whom.
 *
 *	stonith { ping = {"192.0.2.254"} }
 *	pdu "left"  { address = "192.0.2.11" profile = "apc-rpdu" version = "3" user = "shooter"
 *	              auth = "SHA-256" auth-file = "/etc/xnbd/secret/pdu.auth"
 *	              priv = "AES" priv-file = "/etc/xnbd/secret/pdu.priv" }
 *	node "n1" { outlets = {"left:1", "right:1"} shooters = {"n2"} policy = "cycle" }
 *
 * A host that does not reach the PDUs itself goes by another that does:
 *
 *	proxy "gate" { address = "192.0.2.9" user = "stonith" key-file = "/etc/xnbd/secret/gate.key"
 *	               host-key = "ssh-ed25519 AAAA..." secret-file = "/etc/xnbd/secret/gate.hmac" }
 *	node "n1" { proxy = "gate" shooters = {"n2"} }
 *
 * and there, beside the node with its outlets:
 *
 *	caller "n2" { victims = {"n1"} actions = {"off", "status"} secret-file = "..." rate = 3 }
 *
 * Everything is resolved when it is read: addresses are literal, profiles are found, keys of
 * outlets complete, secrets in memory. What can be wrong is found here, all of it at once, and not
 * on the day of the shot.
 */
#ifndef STONITH_CONFIG_H
#define STONITH_CONFIG_H

#include "conf.h"
#include "err.h"
#include "fence.h"
#include "key.h"
#include "profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT       "/etc/xnbd/stonith.conf"
#define CONFIG_AUDIT_LOG     "/var/lib/xnbd/stonith.audit"
#define CONFIG_RUN_DIRECTORY "/run/xnbd-stonith"

enum {
	CONFIG_NAME_MAX = 64, /* bytes of a name: letters, digits, '.', '_', '-' */
	CONFIG_ADDRESS_MAX = 64,
	CONFIG_HOST_KEY_MAX = 512,
};

enum config_version { CONFIG_V1, CONFIG_V2C, CONFIG_V3 };
enum config_auth {
	CONFIG_AUTH_NONE,
	CONFIG_MD5,
	CONFIG_SHA,
	CONFIG_SHA224,
	CONFIG_SHA256,
	CONFIG_SHA384,
	CONFIG_SHA512,
};
enum config_priv { CONFIG_PRIV_NONE, CONFIG_DES, CONFIG_AES, CONFIG_AES192, CONFIG_AES256 };
enum config_policy {
	CONFIG_OFF,             /* a reboot is an off; somebody switches on */
	CONFIG_CYCLE,           /* a reboot is off, pause, on */
	CONFIG_CYCLE_CONFIRMED, /* on only after `xnbd-stonith confirm` */
};

/* What a caller of the proxy may ask for: bits of config_caller.actions. */
enum config_action {
	CONFIG_ACT_OFF = 1,
	CONFIG_ACT_ON = 2,
	CONFIG_ACT_REBOOT = 4,
	CONFIG_ACT_STATUS = 8,
};

/* Section stonith. Texts are never NULL but for `self`. */
struct config_general {
	const char *self; /* this host's node as written; see config_self() */
	const char *audit_log, *run_directory, *control;
	uint64_t deadline;       /* s, of a whole action; 20 */
	uint64_t dwell;          /* ms; 4000 */
	uint64_t on_pause;       /* ms; 1000 */
	uint64_t off_lease;      /* s that "off wanted" holds (lease.h); 60 */
	struct key_texts ping;   /* literal addresses; tie-break */
	uint64_t ping_wait;      /* ms; 2000 */
	uint64_t audit_interval; /* s; 300 */
	bool repair_own;         /* the daemon switches our own outlets on again */
};

struct config_pdu {
	char *name;
	const char *address; /* literal */
	uint64_t port;       /* 161 */
	const char *source;  /* literal address to send from; NULL = any */
	const char *profile_name;
	const struct profile *profile; /* never NULL */
	int version, auth, priv;       /* enum config_version, config_auth, config_priv */
	const char *user, *context;    /* v3; context: NULL = "" */
	const char *community_file, *auth_file, *priv_file;
	uint64_t timeout; /* ms, of a request; 1000 */
	/* From the files (secret.h): locked in memory, wiped when freed. NULL: none is needed. */
	char *community, *auth_secret, *priv_secret;
};

/* An SSH stonith proxy, as its clients know it. */
struct config_proxy {
	char *name;
	const char *address; /* literal */
	uint64_t port;       /* 22 */
	const char *source;  /* literal; NULL = any */
	const char *user;
	const char *key_file, *host_key, *secret_file;
	char *key;    /* the private key, text of KEY_FILE; as secrets of a PDU */
	char *secret; /* for the HMAC, shared with the proxy's section `caller` */
	/* The pinned key as it is on the wire, decoded from HOST_KEY's base64. */
	uint8_t host_key_bytes[CONFIG_HOST_KEY_MAX];
	size_t host_key_len;
};

/* On the proxy's host: who may come, known by the argument of its forced command. */
struct config_caller {
	char *name;
	struct key_texts victims, actions_text;
	unsigned actions; /* CONFIG_ACT_... */
	const char *secret_file;
	char *secret;
	uint64_t rate; /* shots (all but status) in ten minutes; 3 */
};

struct config_outlet {
	const struct config_pdu *pdu;
	struct oid_key key;
	const char *text; /* "left:1" as written */
	const char *name; /* what the PDU should call it; NULL = not known */
};

struct config_node {
	char *name;
	struct key_texts outlets_text, names_text, shooters;
	struct config_outlet *outlets; /* of one PDU side by side; none if by a proxy */
	size_t outlet_count;
	int policy;     /* enum config_policy */
	uint64_t delay; /* ms before it is shot by the cluster; for the preferred survivor */
	uint64_t deadline, dwell; /* s, ms; never 0: the general ones are filled in */
	bool accept_confirmation; /* by hand, of what could not be verified (confirm.h) */
	const char *proxy_name;
	const struct config_proxy *proxy; /* leads to its PDUs; NULL = directly */
};

/* A section `profile`. */
struct config_family;

struct config {
	struct config_general general;
	struct config_pdu *pdus;
	struct config_proxy *proxies;
	struct config_caller *callers;
	struct config_node *nodes;
	struct config_family *families;
	size_t pdu_count, proxy_count, caller_count, node_count, family_count;
	const struct config_node *self;
};

/*
 * 0, or -EINVAL with FILES->faults and *ret empty. FILES is to be given to conf_done() in any case,
 * RET to config_free() after success.
 */
int config_read(const char *path, struct config *ret, struct conf *files);
void config_free(struct config *c);

/*
 * What is no fault but most likely not meant, as faults of RET, which is to be given to
 * conf_done(): a node that nobody may shoot, one that has all outlets on one PDU, two that would
 * shoot each other at the same moment, SNMPv3 without a key.
 */
void config_warn(const struct conf *files, const struct config *c, struct conf *ret);

/* Whole names, without regard to case. NULL: there is none. */
const struct config_node *config_node(const struct config *c, const char *name);
const struct config_pdu *config_pdu(const struct config *c, const char *name);
const struct config_caller *config_caller(const struct config *c, const char *name);
/* This host: the node that key `self` names, else the one called like the host, with or without its
 * domain. NULL: this host is none of the nodes. */
const struct config_node *config_self(const struct config *c);

/* May SHOOTER shoot VICTIM by itself? Key `shooters` of the victim. */
bool config_may_shoot(const struct config_node *shooter, const struct config_node *victim);
/* "off", "on", "reboot", "status": CONFIG_ACT_..., 0: none of these. */
unsigned config_action(const char *text);

/* Kinds of sections with their keys: for the manual, its checks, and the fuzzer. */
extern const struct conf_kind config_kinds[];
extern const size_t config_kind_count;

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confsync.conf(5). The same file serves both nodes: there are two sections `node`, one is
 * this host, the other the peer.
 *
 *	confsync { role-command = "/usr/lib/xnbd/role" }
 *	node "n1" { address = "192.0.2.1" host-key = "ssh-ed25519 AAAA..." }
 *	node "n2" { address = "192.0.2.2" host-key = "ssh-ed25519 AAAA..." }
 *	set "xnbd" {
 *		paths = {"/etc/xnbd/xnbd.conf", "/etc/xnbd/conf.d/"}
 *		exclude = {"*.orig"}
 *		validate = "xnbd-wrapper --check --config %r/etc/xnbd/xnbd.conf"
 *		reload = "systemctl try-reload-or-restart xnbd-wrapper"
 *	}
 *	set "mine" { kind = "local" paths = {"/etc/xnbd/secret/confsync.key"} }
 *
 * What this node's file allows is all that a peer can write here: paths of a set are the
 * receiver's own (config_allows()). This file, what it includes, and key files are never taken from
 * a peer, unless follow-peer = true.
 */
#ifndef CONFSYNC_CONFIG_H
#define CONFSYNC_CONFIG_H

#include "conf.h"
#include "err.h"
#include "generation.h"
#include "key.h"
#include "plan.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_DEFAULT         "/etc/xnbd/confsync.conf"
#define CONFIG_STATE_DIRECTORY "/var/lib/xnbd/confsync"
#define CONFIG_CONTROL         "/run/xnbd-confsync.sock"

enum { CONFIG_HOST_KEY_MAX = 512, CONFIG_SETS_MAX = 64 };

enum config_kind { CONFIG_CONFIG, CONFIG_SECRET, CONFIG_LOCAL };
enum config_where { CONFIG_BOTH, CONFIG_ON_ACTIVE, CONFIG_ON_PASSIVE };

struct config_general {
	const char *self; /* NULL: the node called like the host, with or without its domain */
	/* These and fence_log are without symbolic links, as far as they were there when the file
	 * was read. */
	const char *state_directory, *control;
	const char *user;         /* of the peer's sshd: "root" */
	const char *key_file;     /* "/etc/xnbd/secret/confsync.key" */
	const char *role_command; /* exit status 0: this node is the active one; NULL = not known */
	const char *fence_log; /* "/var/lib/xnbd/stonith.audit", see stonith/audit.h; "" = none */
	uint64_t deadline;     /* s, of a whole conversation; 300 */
	uint64_t connect_timeout; /* s; 10 */
	uint64_t settle;          /* ms without a further change before the daemon acts; 2000 */
	uint64_t interval;        /* s between two looks at the peer; 60 */
	uint64_t scan_interval;   /* s between two full scans with hashes; 3600 */
	bool follow_peer;
};

struct config_node {
	char *name;
	const char *address; /* literal */
	uint64_t port;       /* 22 */
	const char *source;  /* literal address to connect from; NULL = any */
	const char *host_key;
	uint8_t host_key_bytes[CONFIG_HOST_KEY_MAX];
	size_t host_key_len;
};

struct config_set {
	char *name;
	struct key_texts paths, exclude;
	int kind;   /* enum config_kind */
	int writer; /* enum plan_writer; default: active if there is a role command, else manual */
	bool writer_given;
	const char *owner, *group; /* rule: what all entries must have; NULL = as they are */
	/* "0640"; NULL = as they are. Of a secret set never more than 0600, 0700. */
	const char *mode, *folder_mode;
	unsigned mode_bits, folder_mode_bits; /* 0 = no rule */
	bool symlinks; /* symbolic links are part of the set; else they are faults */
	const char *validate, *reload;             /* for /bin/sh -c; see hook.h; NULL = none */
	int reload_on;                             /* enum config_where */
	uint64_t validate_timeout, reload_timeout; /* s; 60 */
	uint64_t order; /* sets are dealt with in this order, then as in the file; 100 */
	uint64_t keep;  /* generations kept; 20 */
	/* Of config_match.c, for config_allows(): paths that stand for one name, unescaped and
	 * sorted, and those with wildcards. */
	struct key_texts plain;
	const char **wild;
	size_t wild_count;
};

struct config {
	char *path;
	/* PATH, what it includes, the key file: of our own, see config_allows(); absolute, once
	 * with links on the way as they are given and once without. PATTERNS: the same of includes,
	 * for fnmatch(3). */
	struct key_texts files, patterns;
	struct config_general general;
	struct config_node *nodes; /* two */
	struct config_set *sets;   /* in the order they are dealt with */
	size_t node_count, set_count;
	const struct config_node *self, *peer;
};

/* 0, or -EINVAL with FILES->faults and *ret empty. FILES is to be given to conf_done() in any case,
 * RET to config_free() after success. Sets that overlap in a pattern word by word are faults;
 * others are found by the scan. */
int config_read(const char *path, struct config *ret, struct conf *files);
void config_free(struct config *c);
const struct config_set *config_set(const struct config *c, const char *name);

/* May PATH be part of S on this node: matches its paths, no exclusion, no temporary name in it, is
 * not of a local set, not a file of our own (see above) nor a folder above one (its mode and owner
 * stay ours; what else is in it may be part of S), not in the state directory, nor the control
 * socket or the log of shots? The one fence around everything a peer says, and around our own scan.
 * Of a set that is local itself: never. */
bool config_allows(const struct config *c, const struct config_set *s, const char *path);

/* SHA-256 over the keys of S that both nodes should have alike: paths, exclusions, rules, kind,
 * writer. Not over commands and times, which may depend on the node. 0 or -ENOMEM. */
int config_definition(const struct config_set *s, uint8_t ret[MANIFEST_HASH]);

extern const struct conf_kind config_kinds[];
extern const size_t config_kind_count;

#endif

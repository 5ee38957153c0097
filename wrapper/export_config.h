/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an export is made of, as a table of keys: the same for a section of the configuration file,
 * an entry of the state file and a request of xnbd-wrapper-ctl. All zero is an export without any
 * settings, so that a spec can be written down by what it has.
 */
#ifndef WRAPPER_EXPORT_CONFIG_H
#define WRAPPER_EXPORT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "key.h"
#include "peers.h"

enum export_kind {
	EXPORT_TARGET,
	EXPORT_COW,   /* `image` is the base, each client has a layer of its own */
	EXPORT_PROXY, /* `image` is the cache of what the origin has */
	EXPORT_KINDS
};

#define EXPORT_BITMAP_SUFFIX ".bitmap" /* behind the cache, if no bitmap is named */

enum export_source {
	EXPORT_FROM_OPTION,   /* --imgfile */
	EXPORT_FROM_CONFIG,   /* --config */
	EXPORT_FROM_STATE,    /* the state file, or added by xnbd-wrapper-ctl: saved */
	EXPORT_FROM_SNAPSHOT, /* of another export, see snapshots.h; not saved */
};

enum export_exclusive {
	EXCLUSIVE_NO,
	EXCLUSIVE_WRITER,             /* one peer may write, others are refused */
	EXCLUSIVE_WRITER_OTHERS_READ, /* others read */
};

/* Bits of key.where: modes it belongs to (1 << kind), and where it may stand. */
enum {
	EXPORT_KEY_SECTION = 1 << 8,
	EXPORT_KEY_DEFAULTS = 1 << 9,
	EXPORT_KEY_LIVE = 1 << 10, /* a server that runs goes on when it changes */
};

/* Texts not given are NULL, numbers 0. An owner has copies (export_config_copy()). */
struct export_config {
	const char *name; /* the title */
	enum export_source source;
	/* The keys of the table. */
	int kind; /* enum export_kind, key "mode" */
	const char *image;
	const char *description, *serial;
	bool readonly, is_default;
	const char *cow_dir;
	uint64_t cow_block;
	/* PROXY: an origin is a URI, or host and port (and exportname) */
	const char *bitmap; /* NULL = IMAGE.bitmap */
	const char *control;
	const char *uri, *host, *port, *exportname;
	uint64_t origin_timeout, origin_wait; /* s */
	uint64_t origin_connections;
	uint64_t block_min, block_preferred, block_max; /* bytes */
	uint64_t threads, max_clients, idle_timeout;    /* s */
	uint64_t limit_requests, limit_bandwidth;       /* per second; bytes */
	struct peers allow, deny, readonly_for;
	int exclusive; /* enum export_exclusive */
};

extern const struct key_set export_keys;

/* 0 or -ENOMEM, then TO is all zero. */
int export_config_copy(struct export_config *to, const struct export_config *from);
void export_config_free(struct export_config *c);

/*
 * Is everything there that the mode needs, and does what is there fit together? 0, or -EINVAL with
 * a line without the name. *ret_key: the key it is about, or NULL.
 */
int export_config_check(const struct export_config *c, const char **ret_key, struct err *err);
/* The part of it about sizes of blocks, which holds for defaults too. */
int export_config_check_blocks(
	const struct export_config *c, const char **ret_key, struct err *err);
/* The part of it about origins. */
int export_config_check_origin(const struct export_config *c, struct err *err);

const char *export_config_mode(enum export_kind kind); /* "target", "cow-target", "proxy" */
bool export_config_find_mode(const char *mode, enum export_kind *ret);

#endif

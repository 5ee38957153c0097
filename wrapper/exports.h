/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export table: what is served under which name and how, and where the entry came from. */
#ifndef WRAPPER_EXPORTS_H
#define WRAPPER_EXPORTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum export_source {
	EXPORT_FROM_OPTION,   /* --imgfile */
	EXPORT_FROM_CONFIG,   /* --config */
	EXPORT_FROM_STATE,    /* the state file, or added by xnbd-wrapper-ctl: saved */
	EXPORT_FROM_SNAPSHOT, /* of another export, see snapshots.h; not saved */
};

enum export_kind {
	EXPORT_TARGET,
	EXPORT_COW,   /* `image` is the base, each client has a layer of its own */
	EXPORT_PROXY, /* `image` is the cache of what the origin has */
};

/* The background copy of a proxy, as it was asked for. */
enum export_copy {
	EXPORT_COPY_NONE,
	EXPORT_COPY_RUNNING, /* started anew with each server, until it is done */
	EXPORT_COPY_PAUSED,
};

/* What an entry is made of; the texts are the caller's. NULL = not given. */
struct export_spec {
	const char *name, *image, *description;
	enum export_kind kind;
	enum export_source source;
	bool readonly;
	const char *cow_dir; /* COW: folder of the layers; NULL = of the wrapper */
	/* PROXY */
	const char *bitmap;  /* NULL = IMAGE.bitmap */
	const char *control; /* socket for xnbd-bgctl; NULL = one in the folder of the servers' */
	const char *uri;     /* of the origin; or else host and port */
	const char *host, *port;
	const char *exportname; /* with host and port; NULL = the default export */
};

struct export_entry {
	uint32_t id; /* from 1, never reused: the index of xnbd-wrapper-ctl --list */
	char *name, *image, *description; /* description: NULL = none */
	enum export_kind kind;
	enum export_source source;
	bool readonly, is_default;
	char *cow_dir;
	char *bitmap, *control, *uri, *host, *port, *exportname; /* as in the spec */
	enum export_copy copy;
	uint64_t copy_rate;     /* bytes/s, 0 = no limit */
	unsigned copy_failures; /* in a row; proxy.c */
	uint64_t copy_retry_at; /* ms, for a copy that wants to be started */
	json_t *migration;      /* migrate.h, as it stands in the state file; NULL = none */
	/* EXPORT_FROM_SNAPSHOT; snapshots.h */
	uint32_t parent;   /* id of the export it was taken of; 0 = this is no snapshot */
	uint64_t snapshot; /* its number there */
	bool newest;       /* NAME@snapshot, which moves on */
	bool complete;     /* the file has everything */
	bool detached;     /* has a server of its own, for the one that took it has ended */
};

struct exports {
	struct export_entry *entries; /* by id */
	size_t count, room;
	uint32_t last_id;
	json_t *foreign; /* state entries not served (of kinds not known, or hidden by options and
			  * configuration), kept as they are; NULL = none */
};

/*
 * -EEXIST for a name that is taken, -EINVAL for a bad one, a description of more than 4096 bytes
 * or a proxy without a proper origin. Entries move in memory when one is added or removed.
 */
int exports_add(struct exports *t, const struct export_spec *spec, struct export_entry **ret,
	struct err *err);
void exports_remove(struct exports *t, uint32_t id);
void exports_done(struct exports *t);

struct export_entry *exports_by_id(const struct exports *t, uint32_t id);
struct export_entry *exports_by_name(const struct exports *t, const char *name);
/* Not those of snapshots. */
struct export_entry *exports_by_image(const struct exports *t, const char *image);

/* Is the origin of SPEC one? Either URI or host and port. 0 or -EINVAL. */
int exports_check_origin(const struct export_spec *spec, struct err *err);
/* Another origin for a proxy: uri, or host, port and exportname of SPEC. 0 or -errno. */
int exports_set_origin(struct export_entry *e, const struct export_spec *spec, struct err *err);
/* The proxy E was switched: its cache is a target now. */
void exports_become_target(struct export_entry *e);
/* Is the origin of SPEC that of E, as written? */
bool exports_same_origin(const struct export_entry *e, const struct export_spec *spec);
/* "HOST:PORT[:NAME]" or the URI; free() it. NULL: E is no proxy, or no memory. */
char *exports_origin_text(const struct export_entry *e);

const char *exports_source_name(enum export_source source);
const char *exports_kind_name(enum export_kind kind); /* the "mode" of the state file */

#endif

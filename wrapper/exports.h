/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export table: what is served under which name and how, and where the entry came from. */
#ifndef WRAPPER_EXPORTS_H
#define WRAPPER_EXPORTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backoff.h"
#include "err.h"
#include "export_config.h"
#include "sock.h"

/* The background copy of a proxy, as it was asked for. */
enum export_copy {
	EXPORT_COPY_NONE,
	EXPORT_COPY_RUNNING, /* started anew with each server, until it is done */
	EXPORT_COPY_PAUSED,
};

enum { EXPORT_SERIAL_MAX = 128 };

/* Who may write to an exclusive export; access.h. */
struct export_hold {
	char host[SOCK_NAME_MAX]; /* the last one that could */
	uint64_t since;           /* ms: of its first connection; 0 = has none yet */
	uint64_t promised;        /* ms: it may come until then */
};

struct export_entry {
	uint32_t id; /* from 1, never reused: the index of xnbd-wrapper-ctl --list */
	struct export_config config;
	enum export_copy copy;
	uint64_t copy_rate;     /* bytes/s, 0 = no limit */
	unsigned copy_failures; /* in a row; proxy.c */
	uint64_t copy_retry_at; /* ms, for a copy that wants to be started */
	json_t *migration;      /* migrate.h, as it stands in the state file; NULL = none */
	struct export_hold hold;
	bool draining;              /* hidden from new clients until its last one leaves: drain.h */
	struct export_config *next; /* what it becomes then; NULL = it is removed */
	struct backoff backoff;     /* of its servers */
	bool image_failed;          /* the last one could not open the image */
	char trouble[128];          /* why it has none, if that is not its own doing; "" = none */
	char serial[EXPORT_SERIAL_MAX + 1]; /* serial.h; "" = has none (yet) */
	/* EXPORT_FROM_SNAPSHOT; snapshots.h */
	uint32_t parent;   /* id of the export it was taken of; 0 = this is no snapshot */
	uint64_t snapshot; /* its number there */
	uint64_t size;     /* bytes: that of its moment */
	bool newest;       /* NAME@snapshot, which moves on */
	bool complete;     /* the file has everything */
	bool detached;     /* has a server of its own, for the one that took it has ended */
};

struct exports {
	struct export_entry *entries; /* by id */
	size_t count, room;
	uint32_t last_id;
	json_t *serials; /* made up, by image; NULL = none */
	json_t *foreign; /* state entries not served (of kinds not known, or hidden by options and
			  * configuration), kept as they are; NULL = none */
};

/*
 * -EEXIST for a name that is taken, -EINVAL for a bad one, a description of more than 4096 bytes
 * or a proxy without a proper origin. Entries move in memory when one is added or removed.
 */
int exports_add(struct exports *t, const struct export_config *spec, struct export_entry **ret,
	struct err *err);
void exports_remove(struct exports *t, uint32_t id);
void exports_done(struct exports *t);

struct export_entry *exports_by_id(const struct exports *t, uint32_t id);
struct export_entry *exports_by_name(const struct exports *t, const char *name);
/* Not those of snapshots. */
struct export_entry *exports_by_image(const struct exports *t, const char *image);

/* It does not drain any more. */
void exports_forget_next(struct export_entry *e);

/* Another origin for a proxy: uri, or host, port and exportname of SPEC. 0 or -errno. */
int exports_set_origin(struct export_entry *e, const struct export_config *spec, struct err *err);
/* The proxy E was switched: its cache is a target now. */
void exports_become_target(struct export_entry *e);
/* Is the origin of SPEC that of E, as written? */
bool exports_same_origin(const struct export_entry *e, const struct export_config *spec);
/* "HOST:PORT[:NAME]" or the URI; free() it. NULL: E is no proxy, or no memory. */
char *exports_origin_text(const struct export_entry *e);

const char *exports_source_name(enum export_source source);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answer to "query" as a struct. A server of another version may leave members out or give them
 * another type: texts are then "", numbers 0.
 */
#ifndef BGCTL_QUERY_H
#define BGCTL_QUERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { QUERY_WAITING_MAX = 256 };

struct query {
	const char *mode, *version, *image, *bitmap; /* texts belong to the answer */
	bool proxy, readonly;
	uint64_t pid, size, clients;
	/* the rest of a proxy only */
	uint64_t block, blocks, cached, written; /* bytes of a block; blocks */
	struct {
		const char *uri, *state, *error;
		uint64_t since; /* ms in this state */
		uint64_t bytes_read, reconnects;
	} origin;
	struct {
		const char *state, *error;
		uint64_t rate_limit, rate; /* bytes/s; no limit is 0 */
		int64_t seconds_left;      /* -1 = not known */
	} copy;
	json_t *snapshots; /* borrowed; NULL = none */
};

void query_read(const json_t *answer, struct query *ret);

/* Nothing is left to fetch: the copy says so, or this is no proxy (any more). */
bool query_done(const struct query *q);

/* A copy was asked for and is not done: it runs, or waits for someone. */
bool query_copying(const struct query *q);

/* Bytes of the blocks that are present; the last block may be shorter than the others. */
uint64_t query_cached_bytes(const struct query *q);

/* Why the copy does not move, "" if it does: "waiting: origin lost: ...". Printable. */
void query_waiting(const struct query *q, char out[QUERY_WAITING_MAX]);

/* The snapshot ID in the list, borrowed; NULL = none. */
json_t *query_snapshot(const struct query *q, json_int_t id);

/* Members of an object, "" and 0 if they are none of that type. */
const char *query_text(const json_t *object, const char *key);
uint64_t query_number(const json_t *object, const char *key);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a copy's bytes come from, chunk by chunk, from several threads at once.
 *
 * source_local.c reads a file, a device or an export here, and can read a copy that has a manifest
 * back; source_far.c asks an lvm_copy on another host.
 */
#ifndef LVM_SOURCE_H
#define LVM_SOURCE_H

#include "manifest.h"
#include "pipeline.h"
#include "spec.h"

struct source;

struct source_ops {
	/*
	 * Fills C's data, hash and zero. KNOWN, if given, is a hash somebody has a chunk of
	 * already: if it is this one, C->same is set, and data may stay out.
	 */
	int (*read)(struct source *s, struct chunk *c, const uint8_t *known, struct err *err);
	/* After the last chunk: is it still what it was, and a snapshot still a good one? */
	int (*finish)(struct source *s, struct err *err);
	/* Ends reads that wait for another host, with an error. NULL = there are none. */
	void (*cut)(struct source *s);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	/* Of the source's content; chunk_size is 0 if the reader may choose, and else a must. */
	struct manifest_head head;
	const char *path; /* what a target here must not be; NULL = not on this host */
};

struct source_want {
	uint32_t chunk_size;  /* 0 = the usual */
	bool restore;         /* it is a copy with a manifest: unpack and check it */
	bool check;           /* of a restore: no bytes, it is read to see that they are right */
	const char *manifest; /* of a restore; NULL = where it belongs */
	bool cached;          /* through the page cache; a source here only */
};

enum { SOURCE_CHUNK = 1024 * 1024 };

/* SPEC must outlive it; its host is not looked at. */
struct source *source_local_new(
	const struct spec *spec, const struct source_want *want, struct err *err);

static inline void source_free(struct source *s)
{
	if (s)
		s->ops->free(s);
}

#endif

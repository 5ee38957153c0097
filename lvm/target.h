/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a copy goes to. target_local.c writes a file, a device or an export on this host;
 * target_far.c has an lvm_copy on another host do that.
 *
 * Of a file the last copy stays as it is until the new one is whole and on disk: that is written
 * as PATH.partial with PATH.partial.manifest, and both are renamed, the data first. A crash between
 * the two leaves a manifest that is complete without its data, and the next run renames it. A
 * device is written in place; its manifest, in a folder of its own, is taken away before the first
 * write, not sooner, and comes back with the last.
 */
#ifndef LVM_TARGET_H
#define LVM_TARGET_H

#include "manifest.h"
#include "pipeline.h"
#include "spec.h"

#define TARGET_MANIFESTS "/var/lib/xnbd/lvm_copy"

struct target_plan {
	struct manifest_head head;
	const char *manifest; /* in place only; NULL = where it belongs */
	const char *source;   /* path on this host which must not be overwritten; NULL = none */
	const struct spec *far_source; /* the same on the target's other host */
	bool restore;                  /* head.identity is that of the copy that is read */
	bool incremental;              /* chunks the target has already are not written */
	bool trust;    /* that the last copy is as its manifest says, without a look */
	bool resume;   /* go on where a copy of the same source stopped */
	bool readback; /* read all of it again before it counts */
	bool dry_run;  /* begin() checks and changes nothing; no put() after it */
	bool prepare;  /* begin() makes or extends an LV; no put() after it */
	unsigned threads;
	atomic_bool *stop;
};

struct target_result {
	struct manifest_trailer totals;
	char manifest[PATH_MAX]; /* "" = not known here */
};

struct target;

struct target_ops {
	/* Checks, opens and locks. *ret_first chunks are there already (resume). */
	int (*begin)(struct target *t, const struct target_plan *plan, uint64_t *ret_first,
		struct err *err);
	/*
	 * Has it a chunk of this index and length, and of what hash? 1 and HASH, 0, or an error.
	 * From several threads; C's buffers are free to be used.
	 */
	int (*old)(struct target *t, struct chunk *c, uint8_t hash[CODEC_HASH], struct err *err);
	/* In order, from one thread. */
	int (*put)(struct target *t, struct chunk *c, struct err *err);
	/* All chunks were put: makes the copy durable and whole. */
	int (*commit)(struct target *t, struct target_result *ret, struct err *err);
	/* Ends what waits for another host, with an error. NULL = nothing does. */
	void (*cut)(struct target *t);
	/* Without a commit before: what can be resumed stays, all else goes. */
	void (*free)(struct target *t);
};

struct target {
	const struct target_ops *ops;
};

/* SPEC must outlive it; its host is not looked at. NULL: out of memory. */
struct target *target_local_new(const struct spec *spec);

static inline void target_free(struct target *t)
{
	if (t)
		t->ops->free(t);
}

/* Name of the manifest of a device or export. */
int target_manifest_of(const struct spec *spec, char out[PATH_MAX], struct err *err);

#endif

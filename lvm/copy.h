/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy from beginning to end: what lvm_copy and lvm_snap_copy do.
 *
 * Either the target is a whole copy of the source, with a manifest, or there is an error and the
 * last copy of a file is as it was.
 */
#ifndef LVM_COPY_H
#define LVM_COPY_H

#include "link.h"
#include "source.h"
#include "target.h"

enum { COPY_THREADS = 4 };

struct copy_progress {
	uint64_t total, done; /* bytes of the source */
	uint64_t rate;        /* bytes/s of the last half minute */
	uint64_t left;        /* s, UINT64_MAX = nobody knows */
	bool slow;            /* below the minimum for half a minute */
};

struct copy_job {
	const struct spec *source, *target;
	enum codec_kind codec;
	int level;           /* of compression, 0 = usual */
	uint32_t chunk_size; /* 0 = usual */
	unsigned threads;    /* 0 = usual */
	bool incremental, trust, resume, readback;
	bool restore;                /* the source is a copy with a manifest */
	bool cached;                 /* a source here is read through the page cache */
	bool stable;                 /* the caller says that the source does not change */
	bool prepare;                /* make or extend the target LV, and no more */
	bool dry_run;                /* check all, change nothing */
	const char *manifest;        /* of the target; NULL = where it belongs */
	const char *source_manifest; /* of a restore; NULL = beside the file */
	uint64_t min_rate;           /* bytes/s, 0 = any */
	uint64_t max_rate;           /* bytes/s, 0 = any */
	bool abort_slow;
	struct link_options link;
	atomic_bool *stop; /* set it to end the copy with -EINTR; NULL = never */
	/* Called about every second, from the thread of copy_run(); negative and ERR ends the copy.
	 */
	int (*watch)(void *owner, const struct copy_progress *p, struct err *err);
	void *owner;
};

struct copy_result {
	uint64_t size;
	uint64_t chunks, first; /* the first ones were there already (resume) */
	uint64_t same, zeros;   /* chunks the target had; all zeros */
	uint64_t written;       /* bytes of chunks that were neither */
	uint64_t ms;
	struct target_result target;
};

int copy_run(const struct copy_job *job, struct copy_result *ret, struct err *err);

#endif

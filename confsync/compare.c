/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two versions of a set side by side; see compare.h. Contents are only ever copied to memory and,
 * those of the peer, to the store in the state directory, which is cleaned after the next change.
 * A live file is believed only if it is still what the scan has seen.
 */
#include "compare.h"

#include "beneath.h"
#include "fsutil.h"
#include "store.h"
#include "sync.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { PIECE = 65536 };

int compare_open(const struct config *c, const struct config_set *set, bool full,
	struct compare *ret, struct err *err)
{
	int r;

	*ret = (struct compare){.state = {.lock = -1}};
	generation_init(&ret->other);
	r = state_open(&ret->state, c, set, err);
	return r < 0 ? r
		     : scan_set(c, set, ret->state.index, full ? SCAN_FULL : SCAN_QUICK, &ret->scan,
			       err);
}

void compare_done(struct compare *x)
{
	changes_done(&x->changes);
	generation_done(&x->other);
	scan_done(&x->scan);
	if (x->state.folder)
		state_close(&x->state);
}

int compare_peer(struct compare *x, struct talk *t, struct err *err)
{
	return sync_show(t, x->state.set->name, &x->other, err);
}

int compare_past(struct compare *x, const char *which, struct err *err)
{
	return state_past(&x->state, which, &x->other, err);
}

int compare_now(struct compare *x, struct err *err)
{
	return generation_copy(&x->other, &x->state.now) < 0 ? err_sys(err, ENOMEM, "files") : 0;
}

int compare_make(struct compare *x, bool to_other, struct err *err)
{
	const struct manifest *here = &x->scan.files, *there = &x->other.files;
	int r = changes_between(to_other ? here : there, to_other ? there : here, &x->changes);

	return r < 0 ? err_sys(err, -r, "files") : 0;
}

static int memory(struct err *err)
{
	int fd = memfd_create("xnbd-confsync", MFD_CLOEXEC);

	return fd < 0 ? err_sys(err, errno, "memory") : fd;
}

/* SIZE bytes of FROM, or less at its end. */
static int copy(int from, int to, uint64_t size)
{
	CLEANUP_FREE char *piece = malloc(PIECE);
	ssize_t n = 1;
	int r = piece ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && n > 0 && at < size; at += (uint64_t)n) {
		n = fs_read_at(from, piece, MIN_OF((uint64_t)PIECE, size - at), (off_t)at);
		r = n < 0 ? (int)n : fs_write_all(to, piece, (size_t)n);
	}
	return r;
}

static int check(int fd, const struct entry *e)
{
	uint8_t hash[MANIFEST_HASH];
	uint64_t size;
	int r = scan_hash(fd, hash, &size);

	if (r < 0)
		return r;
	return memcmp(hash, e->hash, MANIFEST_HASH) == 0 ? 0 : -EAGAIN;
}

int compare_read_here(const struct entry *e, struct err *err)
{
	CLEANUP_FD int from = e ? beneath_open(e->path, O_RDONLY) : -1;
	int to, r;

	if (e && from < 0)
		return err_sys(err, -from, "%s", e->path);
	to = memory(err);
	if (to < 0 || !e)
		return to;
	r = copy(from, to, e->size);
	if (r == 0)
		r = check(to, e);
	if (r == 0)
		return to;
	close(to);
	return err_sys(err, -r, "%s", e->path);
}

int compare_read_other(struct compare *x, struct talk *t, const struct entry *e, struct err *err)
{
	const char *store = x->state.objects;
	int to, r = 0;

	if (e && t && !store_has(store, e->hash))
		r = sync_get(t, x->state.set->name, e->hash, store, err);
	if (r < 0)
		return r;
	to = memory(err);
	if (to < 0 || !e)
		return to;
	r = store_copy_to(store, e->hash, e->size, to, err);
	if (r == 0)
		return to;
	close(to);
	return r;
}

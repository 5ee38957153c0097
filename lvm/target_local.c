/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks onto a file, a device or an export on this host; see target.h. A new file is known to be
 * zero where nothing was written, so zeros stay holes; on a device they are written.
 */
#include "target_inner.h"

#include "stored.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOLE = 64 * 1024 };

static int from_manifest(
	const struct target_local *l, const struct chunk *c, uint8_t hash[CODEC_HASH])
{
	memcpy(hash, l->old.entries[c->index].hash, CODEC_HASH);
	return 1;
}

/* Does the last copy's manifest have this chunk? */
static bool is_in_old(const struct target_local *l, const struct chunk *c)
{
	return c->index < l->old.count && manifest_chunk_len(&l->old.head, c->index) == c->len;
}

/* A damaged chunk of the last copy is one that is not there: it is copied again. */
static int local_old(struct target *t, struct chunk *c, uint8_t hash[CODEC_HASH], struct err *err)
{
	struct target_local *l = target_local_of(t);
	size_t len = c->len;
	int ret;

	if (!l->plan.incremental || (!l->in_place && !is_in_old(l, c)))
		return 0;
	if (l->plan.trust && is_in_old(l, c))
		return from_manifest(l, c, hash);
	if (!l->in_place) {
		ret = stored_read(l->old_medium, &l->old, l->spec->path, c, err);
		c->len = len;
		return ret < 0 ? 0 : from_manifest(l, c, hash);
	}
	ret = l->medium->ops->read(
		l->medium, c->data, c->len, c->index * l->plan.head.chunk_size, err);
	if (ret < 0)
		return ret;
	return codec_hash(c->data, c->len, hash) < 0 ? err_set(err, EIO, "SHA-256 failed") : 1;
}

/* LEN bytes of the last copy to AT of the new one; the file system may let both share them. */
static int clone_old(struct target_local *l, uint64_t from, size_t len, uint64_t at)
{
	off_t in = (off_t)from, out = (off_t)at;

	while (len > 0) {
		ssize_t n = copy_file_range(l->old_fd, &in, l->fd, &out, len, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

/* As clone_old(), for file systems that cannot. C's buffers are free. */
static int copy_old(
	struct target_local *l, struct chunk *c, uint64_t from, size_t len, struct err *err)
{
	uint8_t *bytes = l->plan.head.codec ? c->packed : c->data;
	int ret;

	if (clone_old(l, from, len, l->at) == 0)
		return 0;
	if (len > (l->plan.head.codec ? c->room : l->plan.head.chunk_size))
		return err_set(
			err, EBADMSG, "%s: impossible length in its manifest", l->spec->path);
	ret = l->old_medium->ops->read(l->old_medium, bytes, len, from, err);
	return ret < 0 ? ret : l->medium->ops->write(l->medium, bytes, len, l->at, err);
}

/* Zeros inside a chunk stay holes as well. */
static int write_sparse(struct target_local *l, const struct chunk *c, struct err *err)
{
	size_t from = 0, to;
	int ret = 0;

	while (ret == 0 && from < c->len) {
		size_t piece = MIN_OF((size_t)HOLE, c->len - from);

		if (codec_is_zero(c->data + from, piece)) {
			from += piece;
			continue;
		}
		for (to = from + piece; to < c->len; to += piece) {
			piece = MIN_OF((size_t)HOLE, c->len - to);
			if (codec_is_zero(c->data + to, piece))
				break;
		}
		ret = l->medium->ops->write(
			l->medium, c->data + from, to - from, l->at + from, err);
		from = to;
	}
	return ret;
}

static int put_file(
	struct target_local *l, struct chunk *c, struct manifest_entry *e, struct err *err)
{
	const struct manifest_entry *old = c->same ? &l->old.entries[c->index] : NULL;
	int ret = 0;

	l->at = c->index * l->plan.head.chunk_size;
	if (c->zero)
		return 0;
	if (old)
		ret = copy_old(l, c, l->at, c->len, err);
	else
		ret = write_sparse(l, c, err);
	e->stored = (uint32_t)c->len;
	return ret;
}

static int put_packed(
	struct target_local *l, struct chunk *c, struct manifest_entry *e, struct err *err)
{
	int ret;

	if (c->same) {
		e->stored = l->old.entries[c->index].stored;
		ret = copy_old(l, c, l->old.at[c->index], e->stored, err);
	} else {
		e->stored = (uint32_t)c->packed_len;
		ret = l->medium->ops->write(l->medium, c->packed, c->packed_len, l->at, err);
	}
	l->at += e->stored;
	return ret;
}

static int put_in_place(
	struct target_local *l, struct chunk *c, struct manifest_entry *e, struct err *err)
{
	uint64_t at = c->index * l->plan.head.chunk_size;

	e->stored = (uint32_t)c->len;
	if (c->same)
		return 0;
	if (target_forget(l, err) < 0)
		return -err->code;
	if (c->zero)
		return l->medium->ops->zero(l->medium, c->len, at, err);
	return l->medium->ops->write(l->medium, c->data, c->len, at, err);
}

static int local_put(struct target *t, struct chunk *c, struct err *err)
{
	struct target_local *l = target_local_of(t);
	struct manifest_entry e = {.zero = c->zero};
	int ret;

	memcpy(e.hash, c->hash, CODEC_HASH);
	if (c->same && !l->in_place &&
		(!is_in_old(l, c) ||
			memcmp(l->old.entries[c->index].hash, c->hash, CODEC_HASH) != 0))
		return err_set(err, EPROTO, "a chunk that is not in the last copy");
	if (l->in_place)
		ret = put_in_place(l, c, &e, err);
	else
		ret = l->plan.head.codec ? put_packed(l, c, &e, err) : put_file(l, c, &e, err);
	if (ret == 0)
		ret = manifest_log_add(&l->log, &e, err);
	if (ret == -ENOSPC || ret == -EDQUOT)
		l->keep_partial = false; /* what is in the way of the next run, too */
	return ret;
}

/* Made by us, and nothing came into it. */
static bool is_empty(const struct target_local *l)
{
	struct stat st;

	return l->locked && !l->committed && fstat(l->fd, &st) == 0 && st.st_size == 0;
}

/* What nobody could resume would only take room from the copies beside it. */
static void local_free(struct target *t)
{
	struct target_local *l = target_local_of(t);

	manifest_log_close(&l->log);
	if (l->begun && !l->committed && !l->keep_partial) {
		if (!l->in_place)
			unlink(l->data);
		unlink(l->manifest_partial); /* last: without it, nobody knows whose the other is */
	} else if (is_empty(l))
		unlink(l->data);
	medium_free(l->medium);
	medium_free(l->old_medium);
	manifest_done(&l->old);
	fd_close(&l->fd);
	fd_close(&l->old_fd);
	free(l);
}

static const struct target_ops local_ops = {.begin = target_begin,
	.old = local_old,
	.put = local_put,
	.commit = target_commit,
	.free = local_free};

struct target *target_local_new(const struct spec *spec)
{
	struct target_local *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->target.ops = &local_ops;
	l->spec = spec;
	l->in_place = spec->kind != SPEC_FILE;
	l->fd = l->old_fd = -1;
	manifest_log_init(&l->log);
	return &l->target;
}

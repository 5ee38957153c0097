/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading copies; see stored.h. What is compared is the hash of the unpacked bytes, so a copy is
 * right if and only if what comes out of it is what went in.
 */
#include "stored.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CHECK_THREADS = 4 };

struct check {
	struct medium *medium;
	const struct manifest *m;
	const char *name;
};

uint64_t stored_size(const struct manifest *m)
{
	if (m->head.codec)
		return m->at[m->count];
	return MIN_OF(m->head.size, m->count * m->head.chunk_size);
}

static int read_packed(struct medium *medium, const struct manifest *m, const char *name,
	struct chunk *c, struct err *err)
{
	size_t len = m->entries[c->index].stored;
	int ret;

	if (len > c->room)
		return err_set(err, EBADMSG, "%s: chunk %llu has an impossible length", name,
			(unsigned long long)c->index);
	ret = medium->ops->read(medium, c->packed, len, m->at[c->index], err);
	if (ret < 0)
		return ret;
	if (codec_unpack(m->head.codec, c->packed, len, c->data, c->len) < 0)
		return err_set(err, EBADMSG, "%s: chunk %llu does not unpack: the copy is damaged",
			name, (unsigned long long)c->index);
	return 0;
}

int stored_read(struct medium *medium, const struct manifest *m, const char *name, struct chunk *c,
	struct err *err)
{
	const struct manifest_entry *e = &m->entries[c->index];
	int ret;

	c->len = manifest_chunk_len(&m->head, c->index);
	ret = m->head.codec
		? read_packed(medium, m, name, c, err)
		: medium->ops->read(medium, c->data, c->len, c->index * m->head.chunk_size, err);
	if (ret < 0)
		return ret;
	if (codec_hash(c->data, c->len, c->hash) < 0)
		return err_set(err, EIO, "SHA-256 failed");
	if (memcmp(c->hash, e->hash, CODEC_HASH) != 0)
		return err_set(err, EBADMSG,
			"%s: chunk %llu (bytes from %llu on) is not what was copied: the copy is "
			"damaged",
			name, (unsigned long long)c->index,
			(unsigned long long)(c->index * m->head.chunk_size));
	c->zero = e->zero;
	return 0;
}

static int check_make(void *owner, struct chunk *c, struct err *err)
{
	struct check *k = owner;

	return stored_read(k->medium, k->m, k->name, c, err);
}

static int check_take(void *owner, struct chunk *c, struct err *err)
{
	(void)owner;
	(void)c;
	(void)err;
	return 0;
}

int stored_check(struct medium *medium, const struct manifest *m, const char *name,
	unsigned threads, atomic_bool *stop, struct err *err)
{
	struct check k = {medium, m, name};
	struct pipeline p = {.end = m->count,
		.chunk_size = m->head.chunk_size,
		.threads = threads,
		.stop = stop,
		.make = check_make,
		.take = check_take,
		.owner = &k};

	if (m->count != manifest_chunks(&m->head))
		return err_set(err, EBADMSG, "%s: this copy was never completed", name);
	return pipeline_run(&p, err);
}

uint64_t stored_good(
	struct medium *medium, const struct manifest *m, const char *name, atomic_bool *stop)
{
	struct chunk c = {.room = codec_room_most(m->head.chunk_size)};
	CLEANUP_FREE uint8_t *data = aligned_alloc(PIPELINE_ALIGN, m->head.chunk_size);
	CLEANUP_FREE uint8_t *packed = malloc(c.room);
	struct err err;

	c.data = data;
	c.packed = packed;
	while (data && packed && c.index < m->count && !(stop && atomic_load(stop)) &&
		stored_read(medium, m, name, &c, &err) == 0)
		c.index++;
	return c.index;
}

bool stored_is_of(const char *path, const struct manifest *m, atomic_bool *stop)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct medium *medium;
	struct err err;
	bool good;

	if (fd < 0)
		return false;
	medium = medium_fd_new(fd, path, MEDIUM_READ, &err);
	good = medium && medium->size == stored_size(m) &&
		stored_check(medium, m, path, CHECK_THREADS, stop, &err) == 0;
	medium_free(medium);
	return good;
}

/*
 * The new copy has its name, its manifest not yet: see target.h. A run after that may have been
 * stopped as well, when it had made its own file, and nothing was in it. Or somebody has removed
 * the data before it got its name: then this is the manifest of nothing.
 */
static bool read_waiting(const char *path, struct manifest *ret)
{
	char data[PATH_MAX], name[PATH_MAX + 16];
	struct stat st = {0};
	struct err err;

	if (snprintf(data, sizeof(data), "%s.partial", path) >= (int)sizeof(data) ||
		(stat(data, &st) == 0 && st.st_size > 0))
		return false;
	snprintf(name, sizeof(name), "%s.manifest", data);
	if (manifest_read(name, ret, &err) < 0)
		return false;
	if (ret->complete && stored_size(ret) > 0 && stored_is_of(path, ret, NULL))
		return true;
	manifest_done(ret);
	return false;
}

int stored_manifest(const char *path, const char *manifest, struct manifest *ret, struct err *err)
{
	char beside[PATH_MAX];
	int r;

	if (!manifest && read_waiting(path, ret))
		return 0;
	if (!manifest && snprintf(beside, sizeof(beside), "%s.manifest", path) >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "%.60s...: the name is too long", path);
	r = manifest_read(manifest ? manifest : beside, ret, err);
	if (r == 0 && !ret->complete) {
		manifest_done(ret);
		return err_set(err, EBADMSG, "%s: this copy was never completed", path);
	}
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies where copies go; see place.h. A copy is known by the digest of its manifest, which
 * stands in the record since it was made: a file that has become another one is never removed. Data
 * goes before its manifest, so that an end between the two leaves a file that is known, not one
 * that nobody would ever remove.
 */
#include "place.h"

#include "codec.h"
#include "spec.h"
#include "stored.h"
#include "target.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert((int)RECORD_DIGEST_ROOM == (int)CODEC_HEX, "records have digests of manifests");

/* A file of this host, or false. */
static bool is_file(const char *target, struct spec *s)
{
	struct err err;

	return spec_parse(s, target, &err) == 0 && s->kind == SPEC_FILE && !s->host[0];
}

static bool is_here(const char *target, struct spec *s)
{
	struct err err;

	return spec_parse(s, target, &err) == 0 && !s->host[0];
}

static int read_manifest(const struct spec *s, struct manifest *m, struct err *err)
{
	char path[PATH_MAX];

	if (s->kind == SPEC_FILE)
		return stored_manifest(s->path, NULL, m, err);
	if (target_manifest_of(s, path, err) < 0)
		return -err->code;
	return stored_manifest(s->path, path, m, err);
}

/* Was it copied of the same source, by us, though nobody remembers it? */
static bool is_of(const struct config_volume *v, const struct spec *place)
{
	struct manifest m = {0};
	struct err err;
	char own[SPEC_TEXT_MAX];
	struct spec s;
	bool ret = false;

	if (read_manifest(place, &m, &err) == 0) {
		if (v->kind == CONFIG_EXPORT) {
			ret = strstr(m.head.source, PLACE_MARK);
		} else if (spec_parse(&s, v->source, &err) == 0) {
			spec_print(&s, false, own);
			ret = strncmp(m.head.source, own, strlen(own)) == 0;
		}
	}
	manifest_done(&m);
	return ret;
}

int place_check(
	const struct config_volume *v, const struct records *r, const char *target, struct err *err)
{
	struct stat st;
	struct spec s;

	if (spec_parse(&s, target, err) < 0)
		return -EINVAL;
	if (s.host[0] || s.kind == SPEC_DEV || s.kind == SPEC_NBD || records_at(r, target) ||
		lstat(s.path, &st) < 0)
		return 0;
	if (v->naming != NAMING_TIMED && is_of(v, &s))
		return 0;
	return err_set(err, EEXIST,
		"%s: is there already, and not known as a copy of this volume: remove it, or choose "
		"another target",
		target);
}

int place_mounted(const struct config_volume *v, struct err *err)
{
	struct statx st;

	if (!v->mount_point)
		return 0;
	if (statx(AT_FDCWD, v->mount_point, 0, STATX_TYPE, &st) < 0)
		return err_sys(err, errno, "mount-point %s", v->mount_point);
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	return err_set(err, ENODEV, "%s: nothing is mounted there, as mount-point demands",
		v->mount_point);
}

bool place_is_gone(const struct record *one)
{
	struct stat st;
	struct spec s;

	return is_file(one->target, &s) && lstat(s.path, &st) < 0 && errno == ENOENT;
}

/* The last step of a copy is the name of its manifest; see target.h of lvm. Before that step it is
 * complete, and the data has its name already. */
static void finish(const char *path)
{
	char data[PATH_MAX + 16], waiting[PATH_MAX + 32], manifest[PATH_MAX + 16];
	struct manifest m = {0};
	struct err err;
	struct stat st;

	snprintf(data, sizeof(data), "%s.partial", path);
	snprintf(waiting, sizeof(waiting), "%s.partial.manifest", path);
	snprintf(manifest, sizeof(manifest), "%s.manifest", path);
	if (lstat(data, &st) < 0 && errno == ENOENT && manifest_read(waiting, &m, &err) == 0 &&
		m.complete)
		rename(waiting, manifest);
	manifest_done(&m);
}

/* Of what was begun at MOMENT or later, seconds since 1970. */
static int digest_of(const struct record *one, uint64_t moment, char digest[RECORD_DIGEST_ROOM])
{
	struct manifest m = {0};
	struct err err;
	struct spec s;
	int r = -ENOENT;

	if (is_here(one->target, &s) && !place_is_gone(one))
		r = read_manifest(&s, &m, &err);
	if (r == 0 && m.head.created < moment)
		r = -ENOENT;
	if (r == 0)
		codec_hex(m.trailer.digest, digest);
	manifest_done(&m);
	return r;
}

int place_complete(const struct record *one, char digest[RECORD_DIGEST_ROOM])
{
	struct spec s;
	int r = digest_of(one, one->time, digest);

	if (r == 0 && is_file(one->target, &s))
		finish(s.path);
	return r;
}

bool place_is_untouched(const struct record *one)
{
	char digest[RECORD_DIGEST_ROOM];

	return digest_of(one, 0, digest) == 0 && strcmp(digest, one->digest) == 0;
}

void place_clean(const char *target)
{
	static const char *const suffixes[] = {".partial", ".partial.manifest"};
	char path[PATH_MAX + 32];
	struct spec s;

	for (size_t i = 0; is_file(target, &s) && i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", s.path, suffixes[i]);
		unlink(path);
	}
}

static int check_digest(const struct record *one, const struct spec *s, struct err *err)
{
	char digest[RECORD_DIGEST_ROOM];
	struct manifest m = {0};
	struct err why = {0};
	struct stat st;
	int r = lstat(s->path, &st) < 0 || !S_ISREG(st.st_mode) ? -EPERM : 0;

	if (r == 0)
		r = stored_manifest(s->path, NULL, &m, &why);
	if (r == 0) {
		codec_hex(m.trailer.digest, digest);
		r = strcmp(digest, one->digest) == 0 ? 0 : -EPERM;
	}
	manifest_done(&m);
	return r < 0 ? err_set(err, EPERM,
			       "%s: is not removed, as it is not the copy that was written there",
			       s->path)
		     : 0;
}

int place_remove(const struct record *one, struct err *err)
{
	char manifest[PATH_MAX + 16];
	struct spec s;

	if (!is_file(one->target, &s))
		return err_set(err, EPERM,
			"%s: is kept no more, and not removed, as it is no file of this host",
			one->target);
	if (!place_is_gone(one) && check_digest(one, &s, err) < 0)
		return -EPERM;
	snprintf(manifest, sizeof(manifest), "%s.manifest", s.path);
	if (unlink(s.path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "%s", s.path);
	if (unlink(manifest) < 0 && errno != ENOENT)
		return err_sys(err, errno, "%s", manifest);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PATH.info, which says what a bitmap belongs to: reading, comparing and replacing it. Called by
 * the other blockmap*.c with the map's mutex held, or before other threads know the map.
 *
 * What is not understood as a whole is refused: bits of another layer are worse than none.
 */
#include "blockmap_disk.h"

#include "fsutil.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { VERSION = 1, INFO_MAX = 256 * 1024, VALUE_MAX = 100 };

int blockmap_sibling(const char *path, const char *suffix, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s%s", path, suffix) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

void blockmap_info_boot(char out[40])
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	out[0] = 0;
	if (fs_read("/proc/sys/kernel/random/boot_id", 4096, &text, &len, NULL) == 0)
		snprintf(out, 40, "%.*s", (int)strcspn(text, "\n"), text);
}

static bool has_shape(json_t *info)
{
	json_t *data = json_object_get(info, "data");

	return json_is_integer(json_object_get(info, "size")) &&
		json_is_integer(json_object_get(info, "block")) &&
		json_is_object(json_object_get(info, "identity")) &&
		json_is_integer(json_object_get(data, "inode")) &&
		json_is_integer(json_object_get(data, "device")) &&
		json_is_string(json_object_get(data, "birth")) &&
		json_is_string(json_object_get(info, "boot")) &&
		json_is_boolean(json_object_get(info, "clean"));
}

static int check_format(const char *path, json_t *info, struct err *err)
{
	json_t *version = json_object_get(info, "version");

	if (json_is_integer(version) && json_integer_value(version) != VERSION)
		return err_set(err, EINVAL,
			"%.200s.info: format version %lld, known here is %d; --clear-bitmap to begin anew",
			path, (long long)json_integer_value(version), VERSION);
	if (!version || !has_shape(info))
		return err_set(err, EINVAL,
			"%.200s.info is damaged; --clear-bitmap to begin anew, or remove it to take the bits "
			"on trust",
			path);
	return 0;
}

int blockmap_info_read(const char *path, json_t **ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char name[PATH_MAX];
	json_t *info;
	size_t len;
	int r = blockmap_sibling(path, ".info", name);

	if (r < 0)
		return err_sys(err, -r, "%.200s.info", path);
	if (access(name, F_OK) < 0 && errno == ENOENT) {
		*ret = NULL;
		return 0;
	}
	r = fs_read(name, INFO_MAX, &text, &len, err);
	if (r < 0)
		return r;
	info = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	r = check_format(path, info, err);
	if (r < 0)
		json_decref(info);
	else
		*ret = info;
	return r;
}

uint64_t blockmap_known_size(const char *path)
{
	json_t *info = NULL;
	json_int_t size = 0;
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > 0 && blockmap_info_read(path, &info, NULL) == 0)
		size = json_integer_value(json_object_get(info, "size"));
	json_decref(info);
	return size > 0 ? (uint64_t)size : 0;
}

/* A value of an identity for people. */
static void describe(json_t *value, char out[VALUE_MAX])
{
	CLEANUP_FREE char *text = NULL;
	const char *s = json_string_value(value);

	if (!s && value)
		s = text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	s = s ? s : "none";
	str_printable(out, VALUE_MAX, s, strlen(s));
}

/* The first member in which they differ; NULL if they are equal. */
static const char *different_key(json_t *ours, json_t *theirs)
{
	const char *key;
	json_t *value;

	json_object_foreach(ours, key, value)
	{
		if (!json_equal(value, json_object_get(theirs, key)))
			return key;
	}
	json_object_foreach(theirs, key, value)
	{
		if (!json_object_get(ours, key))
			return key;
	}
	return NULL;
}

static int check_identity(const struct blockmap *m, json_t *theirs, struct err *err)
{
	char is[VALUE_MAX], shall[VALUE_MAX], name[VALUE_MAX / 2];
	const char *key = different_key(m->identity, theirs);

	if (!key)
		return 0;
	str_printable(name, sizeof(name), key, strlen(key));
	describe(json_object_get(theirs, key), is);
	describe(json_object_get(m->identity, key), shall);
	return err_set(err, EINVAL, "%.200s belongs to %s %s, not %s; %s to begin anew", m->path,
		name, is, shall, m->anew);
}

static int check_size(
	const struct blockmap *m, const struct blockmap_wish *wish, json_t *info, struct err *err)
{
	json_int_t size = json_integer_value(json_object_get(info, "size"));
	json_int_t block = json_integer_value(json_object_get(info, "block"));

	if (size == (json_int_t)m->size && block == (json_int_t)m->block)
		return 0;
	return err_set(err, EINVAL,
		"%.200s is of a%s %s of %lld bytes in blocks of %lld, not %llu in blocks of %u; "
		"%s to begin anew",
		m->path, strchr("aeiou", wish->what[0]) ? "n" : "", wish->what, (long long)size,
		(long long)block, (unsigned long long)m->size, m->block, m->anew);
}

/* When the file was made, "" if its file system does not say. */
static void birth_of(int fd, char out[40])
{
	struct statx stx;

	out[0] = 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 && stx.stx_mask & STATX_BTIME)
		snprintf(out, 40, "%lld.%09u", (long long)stx.stx_btime.tv_sec,
			stx.stx_btime.tv_nsec);
}

/* A block device's node is made anew in each boot; its number is all there is to know. */
static int data_of(int fd, json_t **ret)
{
	char birth[40] = "";
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		*ret = json_pack(
			"{s:i s:I s:s}", "inode", 0, "device", (json_int_t)st.st_rdev, "birth", "");
		return *ret ? 0 : -ENOMEM;
	}
	birth_of(fd, birth);
	*ret = json_pack("{s:I s:I s:s}", "inode", (json_int_t)st.st_ino, "device",
		(json_int_t)st.st_dev, "birth", birth);
	return *ret ? 0 : -ENOMEM;
}

static bool same_member(json_t *a, json_t *b, const char *key)
{
	return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static bool has_birth(json_t *data)
{
	return json_string_length(json_object_get(data, "birth")) > 0;
}

static bool same_data(json_t *a, json_t *b)
{
	const char *second = has_birth(a) && has_birth(b) ? "birth" : "device";

	return same_member(a, b, "inode") && same_member(a, b, second);
}

static void describe_data(json_t *data, char out[VALUE_MAX])
{
	bool birth = has_birth(data);

	snprintf(out, VALUE_MAX, "inode %lld of device %lld%s%.40s",
		(long long)json_integer_value(json_object_get(data, "inode")),
		(long long)json_integer_value(json_object_get(data, "device")),
		birth ? ", made at " : "", json_string_value(json_object_get(data, "birth")));
}

static int check_data(
	const struct blockmap *m, const struct blockmap_wish *wish, json_t *theirs, struct err *err)
{
	char is[VALUE_MAX], shall[VALUE_MAX];
	json_t *ours = NULL;
	int ret = data_of(m->data_fd, &ours);
	bool same = ret == 0 && same_data(ours, theirs);

	if (ret < 0)
		return err_sys(err, -ret, "%s file", wish->what);
	describe_data(theirs, is);
	describe_data(ours, shall);
	json_decref(ours);
	if (same)
		return 0;
	return err_set(err, EINVAL,
		"%.140s belongs to another %s file (%s; this is %s); %s to begin anew, or, "
		"if the file was copied on purpose, remove the .info file to take the bits on trust",
		m->path, wish->what, is, shall, m->anew);
}

int blockmap_info_check(
	const struct blockmap *m, const struct blockmap_wish *wish, json_t *info, struct err *err)
{
	int ret = check_identity(m, json_object_get(info, "identity"), err);

	if (ret == 0)
		ret = check_size(m, wish, info, err);
	if (ret == 0)
		ret = check_data(m, wish, json_object_get(info, "data"), err);
	return ret;
}

bool blockmap_info_clean(json_t *info)
{
	return json_is_true(json_object_get(info, "clean"));
}

bool blockmap_info_same_boot(const struct blockmap *m, json_t *info)
{
	return *m->boot && !strcmp(m->boot, json_string_value(json_object_get(info, "boot")));
}

static json_t *info_of(const struct blockmap *m, bool clean, json_t *data)
{
	return json_pack("{s:i s:I s:i s:O s:o s:s s:b}", "version", VERSION, "size",
		(json_int_t)m->size, "block", (int)m->block, "identity", m->identity, "data", data,
		"boot", m->boot, "clean", clean);
}

int blockmap_info_write(const struct blockmap *m, bool clean, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char name[PATH_MAX];
	json_t *data = NULL, *info;
	int ret = blockmap_sibling(m->path, ".info", name);

	if (ret == 0)
		ret = data_of(m->data_fd, &data);
	if (ret < 0)
		return err_sys(err, -ret, "%.200s.info", m->path);
	info = info_of(m, clean, data);
	text = info ? json_dumps(info, JSON_INDENT(2)) : NULL;
	json_decref(info);
	if (!text)
		return err_sys(err, ENOMEM, "%.200s.info", m->path);
	return fs_replace(name, text, strlen(text), 0600, err);
}

int blockmap_rename(struct blockmap *m, json_t *identity, struct err *err)
{
	json_t *old, *fresh = json_deep_copy(identity);
	int ret = 0;

	if (!fresh)
		return err_sys(err, ENOMEM, "identity of a bitmap");
	pthread_mutex_lock(&m->flushing);
	old = m->identity;
	m->identity = fresh;
	if (m->persistent)
		ret = blockmap_info_write(m, false, err);
	if (ret < 0) {
		m->identity = old;
		old = fresh;
	}
	pthread_mutex_unlock(&m->flushing);
	json_decref(old);
	return ret;
}

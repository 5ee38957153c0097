/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a file is besides its content; see meta.h. Attributes that are kept: user.*,
 * security.capability, ACLs. Nothing else is ever read or written, whatever a peer sends. What a
 * file has by accident (an ACL that its folder hands on) is removed when an entry is applied.
 */
#include "meta.h"

#include "meta_acl.h"
#include "meta_names.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux. */
enum { LIST_MAX = 65536 };

/* What the kernel calls it, and how it is called in an entry. */
struct alias {
	const char *kernel, *ours;
	bool default_acl;
};

static const struct alias acls[] = {
	{"system.posix_acl_access", "acl.access", false},
	{"system.posix_acl_default", "acl.default", true},
};

static const struct alias *acl_by_kernel(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(acls); i++)
		if (strcmp(acls[i].kernel, name) == 0)
			return &acls[i];
	return NULL;
}

static const struct alias *acl_by_ours(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(acls); i++)
		if (strcmp(acls[i].ours, name) == 0)
			return &acls[i];
	return NULL;
}

/* Of those that are no ACL. */
static bool is_kept(const char *name)
{
	return (strncmp(name, "user.", 5) == 0 && name[5]) ||
		strcmp(name, "security.capability") == 0;
}

/* Names of FD's attributes, each with its zero. 0 also where there are none. */
static int list_names(int fd, char **ret, size_t *len)
{
	CLEANUP_FREE char *names = malloc(LIST_MAX + 1);
	ssize_t n;

	if (!names)
		return -ENOMEM;
	n = flistxattr(fd, names, LIST_MAX);
	if (n < 0 && errno != ENOTSUP && errno != ENOSYS)
		return -errno;
	*len = n < 0 ? 0 : (size_t)n;
	names[*len] = 0;
	*ret = names;
	names = NULL;
	return 0;
}

/* Reading. */

static int take_value(int fd, const char *name, struct attr *ret)
{
	CLEANUP_FREE uint8_t *value = malloc(MANIFEST_ATTR_VALUE_MAX + 1);
	ssize_t n = value ? fgetxattr(fd, name, value, MANIFEST_ATTR_VALUE_MAX) : -1;

	if (!value)
		return -ENOMEM;
	if (n < 0)
		return -errno;
	ret->value = malloc((size_t)n + 1);
	if (!ret->value)
		return -ENOMEM;
	memcpy(ret->value, value, (size_t)n);
	ret->value[n] = 0;
	ret->len = (size_t)n;
	return 0;
}

static int take_acl(struct meta_names *n, int fd, const struct alias *a, struct attr *ret)
{
	char *text;
	int r = meta_acl_read(n, fd, a->default_acl, &text);

	if (r < 0)
		return r;
	ret->value = (uint8_t *)text;
	ret->len = strlen(text);
	return 0;
}

static int take_attr(struct meta_names *n, int fd, const char *name, struct entry *e)
{
	const struct alias *a = acl_by_kernel(name);
	struct attr *all, new = {0};
	int r;

	if (!a && !is_kept(name))
		return 0;
	if (e->attr_count == MANIFEST_ATTRS_MAX || strlen(name) >= MANIFEST_ATTR_NAME_MAX)
		return -E2BIG;
	all = reallocarray(e->attrs, e->attr_count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	e->attrs = all;
	r = a ? take_acl(n, fd, a, &new) : take_value(fd, name, &new);
	if (r == -ENODATA) /* removed just now: the file's ctime tells */
		return 0;
	new.name = r == 0 ? strdup(a ? a->ours : name) : NULL;
	if (r == 0 && !new.name)
		r = -ENOMEM;
	if (r < 0)
		free(new.value);
	else
		all[e->attr_count++] = new;
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct attr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int meta_read_attrs(struct meta_names *n, int fd, struct entry *ret)
{
	CLEANUP_FREE char *names = NULL;
	size_t len = 0;
	int r = list_names(fd, &names, &len);

	entry_drop_attrs(ret);
	for (size_t at = 0; r == 0 && at < len; at += strlen(names + at) + 1)
		r = take_attr(n, fd, names + at, ret);
	if (r < 0)
		entry_drop_attrs(ret);
	else if (ret->attr_count > 1)
		qsort(ret->attrs, ret->attr_count, sizeof(*ret->attrs), compare);
	return r;
}

static int type_of(mode_t mode, enum manifest_type *ret)
{
	if (S_ISREG(mode))
		*ret = MANIFEST_FILE;
	else if (S_ISDIR(mode))
		*ret = MANIFEST_FOLDER;
	else if (S_ISLNK(mode))
		*ret = MANIFEST_LINK;
	else
		return -EOPNOTSUPP;
	return 0;
}

int meta_read(struct meta_names *n, int fd, const struct stat *st, struct entry *ret)
{
	int r = type_of(st->st_mode, &ret->type);

	if (r == 0)
		r = meta_names_text(n, META_USER, st->st_uid, ret->owner);
	if (r == 0)
		r = meta_names_text(n, META_GROUP, st->st_gid, ret->group);
	if (r < 0)
		return r;
	ret->mode = ret->type == MANIFEST_LINK ? 0 : st->st_mode & 07777;
	ret->size = ret->type == MANIFEST_FILE ? (uint64_t)st->st_size : 0;
	return fd < 0 ? 0 : meta_read_attrs(n, fd, ret);
}

/* Applying. */

static int owners(struct meta_names *n, const struct entry *e, unsigned *user, unsigned *group,
	struct err *err)
{
	int r = meta_names_id(n, META_USER, e->owner, user, err);

	return r < 0 ? r : meta_names_id(n, META_GROUP, e->group, group, err);
}

static bool has_attr(const struct entry *e, const char *name)
{
	for (size_t i = 0; i < e->attr_count; i++)
		if (strcmp(e->attrs[i].name, name) == 0)
			return true;
	return false;
}

static int remove_others(int fd, const struct entry *e, struct err *err)
{
	CLEANUP_FREE char *names = NULL;
	size_t len = 0;
	int r = list_names(fd, &names, &len);

	if (r < 0)
		return err_sys(err, -r, "attributes cannot be read");
	for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
		const struct alias *a = acl_by_kernel(names + at);

		if (!a && !is_kept(names + at))
			continue;
		if (!has_attr(e, a ? a->ours : names + at) && fremovexattr(fd, names + at) < 0 &&
			errno != ENODATA)
			return err_sys(err, errno, "an attribute cannot be removed");
	}
	return 0;
}

static int refuse_name(const struct attr *a, struct err *err)
{
	char shown[MANIFEST_ATTR_NAME_MAX];

	str_printable(shown, sizeof(shown), a->name, strlen(a->name));
	return err_set(err, EPERM,
		"attribute %s is not one of those that are kept: user.*, security.capability, "
		"acl.access, acl.default",
		shown);
}

static int set_attr(struct meta_names *n, int fd, const struct attr *a, struct err *err)
{
	const struct alias *acl = acl_by_ours(a->name);

	if (acl && strlen((const char *)a->value) != a->len)
		return err_set(err, EINVAL, "%s is not the text of an ACL", a->name);
	if (acl)
		return meta_acl_write(n, fd, acl->default_acl, (const char *)a->value, err);
	if (!is_kept(a->name))
		return refuse_name(a, err);
	if (fsetxattr(fd, a->name, a->value, a->len, 0) < 0)
		return err_sys(err, errno, "attribute %.32s cannot be set", a->name);
	return 0;
}

int meta_apply(struct meta_names *n, int fd, const struct entry *e, struct err *err)
{
	unsigned user, group;
	int r = owners(n, e, &user, &group, err);

	if (r < 0)
		return r;
	if (fchown(fd, user, group) < 0)
		return err_sys(err, errno, "owner %u:%u cannot be set", user, group);
	r = remove_others(fd, e, err);
	for (size_t i = 0; r == 0 && i < e->attr_count; i++)
		r = set_attr(n, fd, &e->attrs[i], err);
	if (r == 0 && fchmod(fd, e->mode & 07777) < 0)
		r = err_sys(err, errno, "mode %04o cannot be set", e->mode & 07777);
	return r;
}

int meta_apply_link(struct meta_names *n, int parent_fd, const char *name, const struct entry *e,
	struct err *err)
{
	unsigned user, group;
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r = owners(n, e, &user, &group, err);

	if (r < 0)
		return r;
	/* Who may write to the folder may have put another file in its place. */
	fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "a link that was just made");
	if (!S_ISLNK(st.st_mode))
		return err_set(err, ESTALE, "a link that was just made is none any more");
	if (fchownat(fd, "", user, group, AT_EMPTY_PATH) < 0)
		return err_sys(err, errno, "owner %u:%u of a link cannot be set", user, group);
	return 0;
}

static int check_attr(
	struct meta_names *n, const struct entry *e, const struct attr *a, struct err *err)
{
	const struct alias *acl = acl_by_ours(a->name);

	if (!acl)
		return is_kept(a->name) ? 0 : refuse_name(a, err);
	if (acl->default_acl && e->type != MANIFEST_FOLDER)
		return err_set(err, EINVAL, "%s of what is not a folder", a->name);
	if (strlen((const char *)a->value) != a->len)
		return err_set(err, EINVAL, "%s is not the text of an ACL", a->name);
	return meta_acl_check(n, (const char *)a->value, err);
}

int meta_check(struct meta_names *n, const struct entry *e, struct err *err)
{
	unsigned user, group;
	int r;

	meta_names_strict(n, true);
	r = owners(n, e, &user, &group, err);
	for (size_t i = 0; r == 0 && i < e->attr_count; i++)
		r = check_attr(n, e, &e->attrs[i], err);
	meta_names_strict(n, false);
	return r;
}

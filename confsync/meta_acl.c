/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACLs to text and back; see meta_acl.h. libacl holds and checks them; text is made here because
 * its own takes a name service that fails for "no name", sorts by number, and does not say which
 * name it does not know. A default ACL can only be reached by a path: that of the descriptor in
 * /proc.
 */
#include "meta_acl.h"

#include "meta_names.h"
#include "util.h"

#include <acl/libacl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>

enum { ENTRIES_MAX = 1000, LINE_ROOM = MANIFEST_NAME_MAX + 8 };

struct kind {
	acl_tag_t tag;
	char letter;
	bool named;
	enum meta_kind names;
};

/* In the order of the text. */
static const struct kind kinds[] = {
	{ACL_USER_OBJ, 'u', false, META_USER},
	{ACL_USER, 'u', true, META_USER},
	{ACL_GROUP_OBJ, 'g', false, META_GROUP},
	{ACL_GROUP, 'g', true, META_GROUP},
	{ACL_MASK, 'm', false, META_GROUP},
	{ACL_OTHER, 'o', false, META_GROUP},
};

struct line {
	size_t kind; /* index into kinds[] */
	char name[MANIFEST_NAME_MAX];
	bool r, w, x;
};

/* Reading. */

static int line_of(struct meta_names *n, acl_entry_t e, struct line *ret)
{
	acl_tag_t tag;
	acl_permset_t perms;
	unsigned *id;
	int r = 0;

	if (acl_get_tag_type(e, &tag) < 0 || acl_get_permset(e, &perms) < 0)
		return -errno;
	*ret = (struct line){0};
	while (ret->kind < ARRAY_LEN(kinds) && kinds[ret->kind].tag != tag)
		ret->kind++;
	if (ret->kind == ARRAY_LEN(kinds))
		return -EINVAL;
	ret->r = acl_get_perm(perms, ACL_READ) == 1;
	ret->w = acl_get_perm(perms, ACL_WRITE) == 1;
	ret->x = acl_get_perm(perms, ACL_EXECUTE) == 1;
	if (kinds[ret->kind].named) {
		id = acl_get_qualifier(e);
		r = id ? meta_names_text(n, kinds[ret->kind].names, *id, ret->name) : -errno;
		acl_free(id);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return strcmp(x->name, y->name);
}

static char *print(struct line *lines, size_t count)
{
	char *text = malloc(count * LINE_ROOM + 1);
	size_t at = 0;

	if (!text)
		return NULL;
	qsort(lines, count, sizeof(*lines), compare);
	text[0] = 0;
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, LINE_ROOM + 1, "%s%c:%s:%c%c%c", i ? "," : "",
			kinds[lines[i].kind].letter, lines[i].name, lines[i].r ? 'r' : '-',
			lines[i].w ? 'w' : '-', lines[i].x ? 'x' : '-');
	return text;
}

static int text_of(struct meta_names *n, acl_t acl, char **ret)
{
	CLEANUP_FREE struct line *lines = NULL;
	acl_entry_t e;
	size_t count = 0;
	int max = acl_entries(acl), got, r = 0;

	if (max < 0 || max > ENTRIES_MAX)
		return -E2BIG;
	lines = calloc((size_t)max + 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (got = acl_get_entry(acl, ACL_FIRST_ENTRY, &e);
		got == 1 && r == 0 && count < (size_t)max;
		got = acl_get_entry(acl, ACL_NEXT_ENTRY, &e))
		r = line_of(n, e, &lines[count++]);
	if (r < 0 || got < 0)
		return r < 0 ? r : -errno;
	*ret = print(lines, count);
	return *ret ? 0 : -ENOMEM;
}

static void path_of(int fd, char ret[32])
{
	snprintf(ret, 32, "/proc/self/fd/%d", fd);
}

int meta_acl_read(struct meta_names *n, int fd, bool default_acl, char **ret)
{
	char path[32];
	acl_t acl;
	int r;

	path_of(fd, path);
	acl = default_acl ? acl_get_file(path, ACL_TYPE_DEFAULT) : acl_get_fd(fd);
	if (!acl)
		return -errno;
	r = text_of(n, acl, ret);
	acl_free(acl);
	return r;
}

/* Writing. */

static bool parse_perms(const char *text, struct line *ret)
{
	ret->r = text[0] == 'r';
	ret->w = text[0] && text[1] == 'w';
	ret->x = text[0] && text[1] && text[2] == 'x';
	return strlen(text) == 3 && (ret->r || text[0] == '-') && (ret->w || text[1] == '-') &&
		(ret->x || text[2] == '-');
}

/* "u:NAME:rwx", which is cut. */
static bool parse_line(char *text, struct line *ret)
{
	char *name = strchr(text, ':'), *perms = name ? strchr(name + 1, ':') : NULL;

	*ret = (struct line){0};
	if (!perms || name != text + 1)
		return false;
	*perms++ = 0;
	name++;
	while (ret->kind < ARRAY_LEN(kinds) &&
		(kinds[ret->kind].letter != *text || kinds[ret->kind].named != !!*name))
		ret->kind++;
	if (ret->kind == ARRAY_LEN(kinds) || strlen(name) >= sizeof(ret->name))
		return false;
	memcpy(ret->name, name, strlen(name) + 1);
	return parse_perms(perms, ret);
}

static int add_entry(struct meta_names *n, acl_t *acl, const struct line *l, struct err *err)
{
	const struct kind *k = &kinds[l->kind];
	acl_permset_t perms;
	acl_entry_t e;
	unsigned id = 0;
	int r = k->named ? meta_names_id(n, k->names, l->name, &id, err) : 0;

	if (r < 0)
		return r;
	if (acl_create_entry(acl, &e) < 0 || acl_set_tag_type(e, k->tag) < 0 ||
		(k->named && acl_set_qualifier(e, &id) < 0) || acl_get_permset(e, &perms) < 0 ||
		acl_clear_perms(perms) < 0 || (l->r && acl_add_perm(perms, ACL_READ) < 0) ||
		(l->w && acl_add_perm(perms, ACL_WRITE) < 0) ||
		(l->x && acl_add_perm(perms, ACL_EXECUTE) < 0))
		return err_sys(err, errno, "an ACL");
	return 0;
}

static int parse_all(struct meta_names *n, char *text, acl_t *acl, struct err *err)
{
	char *part;
	size_t count = 0;
	int r = 0;

	while (r == 0 && (part = strsep(&text, ","))) {
		struct line l;

		if (++count > ENTRIES_MAX || !parse_line(part, &l))
			return err_set(err, EINVAL, "not the text of an ACL: entry %zu", count);
		r = add_entry(n, acl, &l, err);
	}
	if (r == 0 && acl_valid(*acl) < 0)
		r = err_set(err, EINVAL, "not an ACL: an entry is missing or there twice");
	return r;
}

static int parse(struct meta_names *n, const char *text, acl_t *ret, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(text);
	acl_t acl = acl_init(8);
	int r;

	if (!copy || !acl)
		r = err_sys(err, ENOMEM, "an ACL");
	else
		r = parse_all(n, copy, &acl, err);
	if (r < 0)
		acl_free(acl);
	else
		*ret = acl;
	return r;
}

int meta_acl_write(
	struct meta_names *n, int fd, bool default_acl, const char *text, struct err *err)
{
	char path[32];
	acl_t acl;
	int r = parse(n, text, &acl, err);

	if (r < 0)
		return r;
	path_of(fd, path);
	r = default_acl ? acl_set_file(path, ACL_TYPE_DEFAULT, acl) : acl_set_fd(fd, acl);
	r = r < 0 ? err_sys(err, errno, "an ACL cannot be set") : 0;
	acl_free(acl);
	return r;
}

int meta_acl_check(struct meta_names *n, const char *text, struct err *err)
{
	acl_t acl;
	int r = parse(n, text, &acl, err);

	if (r == 0)
		acl_free(acl);
	return r;
}

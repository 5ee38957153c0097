/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small table of users and groups; see meta_names.h. It only grows, and lives as long as one scan
 * or one transaction, so that a new user is seen by the next one. Searched from its start: files of
 * a set have few owners.
 */
#include "meta_names.h"

#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { ROOM_FIRST = 1024, ROOM_MAX = 1024 * 1024, ID_MAX = 0xfffffffe };

struct known {
	enum meta_kind kind;
	bool by_name; /* what was asked for; the answers need not match: two names of one number */
	unsigned id;
	char name[MANIFEST_NAME_MAX];
};

struct meta_names {
	bool strict;
	struct known *known;
	size_t count;
};

struct meta_names *meta_names_new(void)
{
	return calloc(1, sizeof(struct meta_names));
}

void meta_names_free(struct meta_names *n)
{
	if (n)
		free(n->known);
	free(n);
}

void meta_names_strict(struct meta_names *n, bool strict)
{
	n->strict = strict;
}

/* The name service. */

struct question {
	enum meta_kind kind;
	const char *name; /* NULL: by number */
	unsigned id;
};

struct answer {
	bool found;
	unsigned id;
	char name[MANIFEST_NAME_MAX]; /* "" = too long */
};

static void keep(struct answer *a, const char *name, unsigned id)
{
	a->found = true;
	a->id = id;
	if (strlen(name) < sizeof(a->name))
		memcpy(a->name, name, strlen(name) + 1);
}

static int ask_user(const struct question *q, char *room, size_t size, struct answer *ret)
{
	struct passwd pw, *found = NULL;
	int e = q->name ? getpwnam_r(q->name, &pw, room, size, &found)
			: getpwuid_r(q->id, &pw, room, size, &found);

	if (found)
		keep(ret, found->pw_name, found->pw_uid);
	return e;
}

static int ask_group(const struct question *q, char *room, size_t size, struct answer *ret)
{
	struct group gr, *found = NULL;
	int e = q->name ? getgrnam_r(q->name, &gr, room, size, &found)
			: getgrgid_r(q->id, &gr, room, size, &found);

	if (found)
		keep(ret, found->gr_name, found->gr_gid);
	return e;
}

/* Groups of thousands of members need much room. */
static int ask(const struct question *q, struct answer *ret)
{
	int e = ERANGE;

	for (size_t size = ROOM_FIRST; e == ERANGE && size <= ROOM_MAX; size *= 4) {
		CLEANUP_FREE char *room = malloc(size);

		if (!room)
			return -ENOMEM;
		e = (q->kind == META_USER ? ask_user : ask_group)(q, room, size, ret);
	}
	/* These are said by some services, and without a passwd file, of what is not there. */
	return e == ENOENT || e == ESRCH ? 0 : -e;
}

/* Table. */

static int add(
	struct meta_names *n, enum meta_kind kind, bool by_name, unsigned id, const char *name)
{
	struct known *more = reallocarray(n->known, n->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	n->known = more;
	more[n->count].kind = kind;
	more[n->count].by_name = by_name;
	more[n->count].id = id;
	snprintf(more[n->count++].name, MANIFEST_NAME_MAX, "%s", name);
	return 0;
}

static bool is_number(const char *name)
{
	return *name && name[strspn(name, "0123456789")] == 0;
}

static bool is_usable(const char *name)
{
	if (!*name || is_number(name))
		return false;
	for (; *name; name++)
		if (iscntrl((unsigned char)*name) || *name == ':' || *name == ',')
			return false;
	return true;
}

static const struct known *by_id(const struct meta_names *n, enum meta_kind kind, unsigned id)
{
	for (size_t i = 0; i < n->count; i++)
		if (!n->known[i].by_name && n->known[i].kind == kind && n->known[i].id == id)
			return &n->known[i];
	return NULL;
}

static const struct known *by_name(
	const struct meta_names *n, enum meta_kind kind, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->known[i].by_name && n->known[i].kind == kind &&
			strcmp(n->known[i].name, name) == 0)
			return &n->known[i];
	return NULL;
}

int meta_names_text(
	struct meta_names *n, enum meta_kind kind, unsigned id, char ret[MANIFEST_NAME_MAX])
{
	struct question q = {.kind = kind, .id = id};
	const struct known *k = by_id(n, kind, id);
	struct answer a = {0};
	int r;

	if (k) {
		memcpy(ret, k->name, MANIFEST_NAME_MAX);
		return 0;
	}
	r = ask(&q, &a);
	if (r < 0)
		return r;
	if (!a.found || !is_usable(a.name))
		snprintf(a.name, sizeof(a.name), "%u", id);
	r = add(n, kind, false, id, a.name);
	if (r == 0)
		memcpy(ret, a.name, MANIFEST_NAME_MAX);
	return r;
}

static const char *const words[] = {[META_USER] = "user", [META_GROUP] = "group"};

static int number(const char *name, unsigned *ret, struct err *err)
{
	uint64_t id;

	if (str_number(name, 0, ID_MAX, &id) < 0)
		return err_set(err, EINVAL, "%s is no number of a user or group", name);
	*ret = (unsigned)id;
	return 0;
}

static int ask_id(
	struct meta_names *n, enum meta_kind kind, const char *name, unsigned *ret, struct err *err)
{
	struct question q = {.kind = kind, .name = name};
	struct answer a = {0};
	char shown[2 * MANIFEST_NAME_MAX];
	int r;

	str_printable(shown, sizeof(shown), name, strlen(name));
	r = ask(&q, &a);
	if (r < 0)
		return err_sys(err, -r, "asking for %s %s", words[kind], shown);
	if (!a.found)
		return err_set(err, ENOENT, "there is no %s %s on this node", words[kind], shown);
	r = add(n, kind, true, a.id, name);
	if (r < 0)
		return err_sys(err, -r, "%s %s", words[kind], shown);
	*ret = a.id;
	return 0;
}

/* Would a scan call it NAME again? */
static int check_back(
	struct meta_names *n, enum meta_kind kind, unsigned id, const char *name, struct err *err)
{
	char found[MANIFEST_NAME_MAX];
	int r = meta_names_text(n, kind, id, found);

	if (r < 0)
		return err_sys(err, -r, "asking for %s %u", words[kind], id);
	if (strcmp(found, name) != 0)
		return err_set(err, EINVAL,
			"%s %s is called %s on this node; both nodes should have one name for it",
			words[kind], name, found);
	return 0;
}

int meta_names_id(
	struct meta_names *n, enum meta_kind kind, const char *name, unsigned *ret, struct err *err)
{
	const struct known *k = by_name(n, kind, name);
	unsigned id = k ? k->id : 0;
	int r = k ? 0 : is_number(name) ? number(name, &id, err) : ask_id(n, kind, name, &id, err);

	if (r == 0 && n->strict)
		r = check_back(n, kind, id, name, err);
	if (r == 0)
		*ret = id;
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of nfs.conf and what they set; see nfsconf.h. What is wrong in them is logged with file
 * and line and left out: a typing error must not keep peers from being told.
 */
#include "nfsconf.h"

#include "err.h"
#include "fsutil.h"
#include "log.h"
#include "str.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* One file that is being read. */
struct reading {
	struct nfsconf *conf;
	const char *path;
	unsigned depth;
};

static void read_file(
	struct nfsconf *c, const char *path, char *section, bool may_be_absent, unsigned depth);

void nfsconf_init(struct nfsconf *c)
{
	*c = (struct nfsconf){0};
}

static void free_entry(struct nfsconf_entry *e)
{
	free(e->section);
	free(e->key);
	free(e->value);
}

void nfsconf_done(struct nfsconf *c)
{
	for (size_t i = 0; i < c->count; i++)
		free_entry(&c->entries[i]);
	free(c->entries);
	*c = (struct nfsconf){0};
}

static struct nfsconf_entry *find(const struct nfsconf *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcasecmp(c->entries[i].section, section) == 0 &&
			strcasecmp(c->entries[i].key, key) == 0)
			return &c->entries[i];
	}
	return NULL;
}

static bool add_entry(struct nfsconf *c, struct nfsconf_entry e)
{
	size_t room = c->room ? c->room * 2 : 32;
	void *p = c->entries;

	if (!e.section || !e.key || !e.value || c->count >= NFSCONF_ENTRIES_MAX)
		return false;
	if (c->count == c->room) {
		p = realloc(c->entries, room * sizeof(*c->entries));
		if (!p)
			return false;
		c->entries = p;
		c->room = room;
	}
	c->entries[c->count++] = e;
	return true;
}

static void take_value(void *ctx, const char *section, const char *key, const char *value)
{
	struct reading *r = ctx;
	struct nfsconf_entry *old = find(r->conf, section, key);
	struct nfsconf_entry e = {strdup(section), strdup(key), strdup(value)};

	if (old && e.section && e.key && e.value) {
		free_entry(old);
		*old = e;
	} else if (!add_entry(r->conf, e)) {
		log_error("%s: [%s] %s: too much, or no memory; left out", r->path, section, key);
		free_entry(&e);
	}
}

static void take_fault(void *ctx, unsigned line, const char *what)
{
	const struct reading *r = ctx;

	log_warn("%s: line %u: %s", r->path, line, what);
}

static void take_include(void *ctx, char *section, const char *name, bool may_be_absent)
{
	const struct reading *r = ctx;
	char path[PATH_MAX];
	int folder = *name == '/' ? 0 : (int)(str_base_name(r->path) - r->path);

	if (snprintf(path, sizeof(path), "%.*s%s", folder, r->path, name) >= (int)sizeof(path))
		log_warn("%s: include = %.100s...: too long", r->path, name);
	else if (r->depth == NFSCONF_DEPTH_MAX)
		log_warn("%s: include = %s: left out, more than %d files within each other",
			r->path, name, NFSCONF_DEPTH_MAX);
	else
		read_file(r->conf, path, section, may_be_absent, r->depth + 1);
}

static const struct nfsconf_ops ops = {take_value, take_include, take_fault};

static void read_file(
	struct nfsconf *c, const char *path, char *section, bool may_be_absent, unsigned depth)
{
	struct reading r = {c, path, depth};
	struct err err = {0};
	char *text;
	size_t len;

	if (fs_read(path, NFSCONF_FILE_MAX, &text, &len, &err) == 0) {
		nfsconf_text(text, len, section, &ops, &r);
		free(text);
	} else if (err.code != ENOENT || !may_be_absent) {
		log_warn("%s; left out", err.text);
	}
}

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && *entry->d_name != '.' && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void nfsconf_read(struct nfsconf *c, const char *path)
{
	char folder[PATH_MAX], file[PATH_MAX + NAME_MAX + 2], section[NFSCONF_SECTION_ROOM] = "";
	struct dirent **list = NULL;
	int count;

	read_file(c, path, section, true, 0);
	if (snprintf(folder, sizeof(folder), "%s.d", path) >= (int)sizeof(folder))
		return;
	count = scandir(folder, &list, is_conf, by_name);
	if (count < 0 && errno != ENOENT)
		log_warn("%s: %s", folder, strerror(errno));
	for (int i = 0; i < count; i++) {
		snprintf(file, sizeof(file), "%s/%s", folder, list[i]->d_name);
		*section = 0;
		read_file(c, file, section, true, 0);
		free(list[i]);
	}
	free(list);
}

const char *nfsconf_get(const struct nfsconf *c, const char *section, const char *key)
{
	const struct nfsconf_entry *e = find(c, section, key), *variable;

	if (!e || *e->value != '$')
		return e ? e->value : NULL;
	variable = find(c, "environment", e->value + 1);
	return variable ? variable->value : getenv(e->value + 1);
}

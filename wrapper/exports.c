/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export table; see exports.h. It owns every text of its entries. An entry is complete and
 * checked, or it is not there.
 */
#include "exports.h"

#include "export.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int reserve(struct exports *t)
{
	size_t room = t->room ? 2 * t->room : 16;
	void *p;

	if (t->count < t->room)
		return 0;
	p = realloc(t->entries, room * sizeof(*t->entries));
	if (!p)
		return -ENOMEM;
	t->entries = p;
	t->room = room;
	return 0;
}

void exports_forget_next(struct export_entry *e)
{
	if (e->next)
		export_config_free(e->next);
	free(e->next);
	e->next = NULL;
	e->draining = false;
}

static void free_entry(struct export_entry *e)
{
	exports_forget_next(e);
	export_config_free(&e->config);
	json_decref(e->migration);
}

/* Origins. */

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool exports_same_origin(const struct export_entry *e, const struct export_config *c)
{
	return same(e->config.uri, c->uri) && same(e->config.host, c->host) &&
		same(e->config.port, c->port) && same(e->config.exportname, c->exportname);
}

static void forget(const char **text)
{
	free((void *)(uintptr_t)*text);
	*text = NULL;
}

static void forget_origin(struct export_config *c)
{
	forget(&c->uri);
	forget(&c->host);
	forget(&c->port);
	forget(&c->exportname);
}

int exports_set_origin(struct export_entry *e, const struct export_config *c, struct err *err)
{
	const struct export_config origin = {
		.uri = c->uri, .host = c->host, .port = c->port, .exportname = c->exportname};
	struct export_config copy;
	int ret = export_config_check_origin(&origin, err);

	if (ret < 0)
		return ret;
	if (export_config_copy(&copy, &origin) < 0)
		return err_sys(err, ENOMEM, "export '%.100s'", e->config.name);
	forget_origin(&e->config);
	e->config.uri = copy.uri;
	e->config.host = copy.host;
	e->config.port = copy.port;
	e->config.exportname = copy.exportname;
	return 0;
}

/* What only proxies have goes, or it would not belong to the mode. */
void exports_become_target(struct export_entry *e)
{
	struct export_config *c = &e->config;

	forget_origin(c);
	forget(&c->bitmap);
	forget(&c->control);
	c->origin_timeout = c->origin_wait = c->origin_connections = 0;
	c->kind = EXPORT_TARGET;
	e->copy = EXPORT_COPY_NONE;
	e->copy_rate = 0;
}

char *exports_origin_text(const struct export_entry *e)
{
	char *text;

	if (e->config.kind != EXPORT_PROXY)
		return NULL;
	if (e->config.uri)
		return strdup(e->config.uri);
	if (asprintf(&text, "%s:%s%s%s", e->config.host, e->config.port,
		    e->config.exportname ? ":" : "",
		    e->config.exportname ? e->config.exportname : "") < 0)
		return NULL;
	return text;
}

/* Entries. */

/* In the state file, over which the command line and the configuration win. */
static bool is_kept(const struct exports *t, const struct export_config *c)
{
	return c->source != EXPORT_FROM_OPTION && c->source != EXPORT_FROM_CONFIG &&
		json_object_get(t->foreign, c->name);
}

static int check(const struct exports *t, const struct export_config *c, struct err *err)
{
	struct err why = {0};
	int ret = export_check_name(c->name, strlen(c->name), err);

	if (ret < 0)
		return ret;
	if (!*c->name)
		return err_set(err, EINVAL, "an export name must not be empty");
	if (exports_by_name(t, c->name) || is_kept(t, c))
		return err_set(err, EEXIST, "export '%.100s': the name is already in use", c->name);
	if (export_config_check(c, NULL, &why) < 0)
		return err_set(err, EINVAL, "export '%.100s': %s", c->name, why.text);
	return 0;
}

int exports_add(struct exports *t, const struct export_config *c, struct export_entry **ret,
	struct err *err)
{
	struct export_entry e = {0};
	int r = check(t, c, err);
	bool complete;
	char *bitmap;

	if (r < 0)
		return r;
	complete = export_config_copy(&e.config, c) == 0;
	if (complete && c->kind == EXPORT_PROXY && !c->bitmap) {
		complete = asprintf(&bitmap, "%s" EXPORT_BITMAP_SUFFIX, c->image) >= 0;
		e.config.bitmap = complete ? bitmap : NULL;
	}
	if (!complete || reserve(t) < 0) {
		free_entry(&e);
		return err_sys(err, ENOMEM, "export '%s'", c->name);
	}
	e.id = ++t->last_id;
	t->entries[t->count++] = e;
	if (ret)
		*ret = &t->entries[t->count - 1];
	return 0;
}

void exports_remove(struct exports *t, uint32_t id)
{
	struct export_entry *e = exports_by_id(t, id);

	if (!e)
		return;
	free_entry(e);
	t->count--;
	memmove(e, e + 1, (size_t)(t->entries + t->count - e) * sizeof(*e));
}

void exports_done(struct exports *t)
{
	for (size_t i = 0; i < t->count; i++)
		free_entry(&t->entries[i]);
	free(t->entries);
	json_decref(t->foreign);
	json_decref(t->serials);
	*t = (struct exports){0};
}

struct export_entry *exports_by_id(const struct exports *t, uint32_t id)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->entries[i].id == id)
			return &t->entries[i];
	}
	return NULL;
}

struct export_entry *exports_by_name(const struct exports *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->entries[i].config.name, name) == 0)
			return &t->entries[i];
	}
	return NULL;
}

struct export_entry *exports_by_image(const struct exports *t, const char *image)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!t->entries[i].parent && strcmp(t->entries[i].config.image, image) == 0)
			return &t->entries[i];
	}
	return NULL;
}

const char *exports_source_name(enum export_source source)
{
	switch (source) {
	case EXPORT_FROM_OPTION:
		return "option";
	case EXPORT_FROM_CONFIG:
		return "config";
	case EXPORT_FROM_STATE:
		return "state";
	case EXPORT_FROM_SNAPSHOT:
		return "snapshot";
	}
	return "?";
}

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

enum { ORIGIN_MAX = 4096 };

/* The texts of a spec, and their copies in the entry. */
#define TEXT(field)                                                                                \
	{                                                                                          \
		offsetof(struct export_spec, field), offsetof(struct export_entry, field)          \
	}
static const struct {
	size_t from, to;
} texts[] = {TEXT(name), TEXT(image), TEXT(description), TEXT(cow_dir), TEXT(bitmap), TEXT(control),
	TEXT(uri), TEXT(host), TEXT(port), TEXT(exportname)};

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

static char **text_of(struct export_entry *e, size_t i)
{
	return (char **)(void *)((char *)e + texts[i].to);
}

static void free_entry(struct export_entry *e)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(*text_of(e, i));
	json_decref(e->migration);
}

static bool copy_texts(struct export_entry *e, const struct export_spec *spec)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *from =
			*(const char *const *)(const void *)((const char *)spec + texts[i].from);

		if (from && !(*text_of(e, i) = strdup(from)))
			return false;
	}
	return true;
}

/* Origins. */

int exports_check_origin(const struct export_spec *s, struct err *err)
{
	if (s->uri && (s->host || s->port || s->exportname))
		return err_set(err, EINVAL,
			"an origin is a URI, or a host and a port, not both; the URI has the name");
	if (s->uri)
		return export_check_uri(s->uri, err);
	if (!s->host || !*s->host || !s->port || !*s->port)
		return err_set(err, EINVAL, "a proxy needs an origin: a URI, or a host and a port");
	if (strlen(s->host) >= ORIGIN_MAX || strlen(s->port) >= ORIGIN_MAX)
		return err_set(err, EINVAL, "host and port of the origin: less than 4096 bytes");
	return export_check_name(
		s->exportname ? s->exportname : "", s->exportname ? strlen(s->exportname) : 0, err);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool exports_same_origin(const struct export_entry *e, const struct export_spec *spec)
{
	return same(e->uri, spec->uri) && same(e->host, spec->host) && same(e->port, spec->port) &&
		same(e->exportname, spec->exportname);
}

static void forget_origin(struct export_entry *e)
{
	free(e->uri);
	free(e->host);
	free(e->port);
	free(e->exportname);
	e->uri = e->host = e->port = e->exportname = NULL;
}

int exports_set_origin(struct export_entry *e, const struct export_spec *spec, struct err *err)
{
	const struct export_spec origin = {.uri = spec->uri,
		.host = spec->host,
		.port = spec->port,
		.exportname = spec->exportname};
	struct export_entry copy = {0};
	int ret = exports_check_origin(&origin, err);

	if (ret < 0)
		return ret;
	if (!copy_texts(&copy, &origin)) {
		free_entry(&copy);
		return err_sys(err, ENOMEM, "export '%.100s'", e->name);
	}
	forget_origin(e);
	e->uri = copy.uri;
	e->host = copy.host;
	e->port = copy.port;
	e->exportname = copy.exportname;
	return 0;
}

void exports_become_target(struct export_entry *e)
{
	forget_origin(e);
	free(e->bitmap);
	free(e->control);
	e->bitmap = e->control = NULL;
	e->kind = EXPORT_TARGET;
	e->copy = EXPORT_COPY_NONE;
	e->copy_rate = 0;
}

char *exports_origin_text(const struct export_entry *e)
{
	char *text;

	if (e->kind != EXPORT_PROXY)
		return NULL;
	if (e->uri)
		return strdup(e->uri);
	if (asprintf(&text, "%s:%s%s%s", e->host, e->port, e->exportname ? ":" : "",
		    e->exportname ? e->exportname : "") < 0)
		return NULL;
	return text;
}

/* Entries. */

static int check_kind(const struct export_spec *s, struct err *err)
{
	struct err why = {0};

	if (s->kind != EXPORT_PROXY)
		return 0;
	if (exports_check_origin(s, &why) < 0)
		return err_set(err, EINVAL, "export '%.100s': %s", s->name, why.text);
	if (s->bitmap && strcmp(s->bitmap, s->image) == 0)
		return err_set(err, EINVAL, "export '%.100s': cache and bitmap are the same file",
			s->name);
	return 0;
}

static int check(const struct exports *t, const struct export_spec *s, struct err *err)
{
	const char *name = s->name;
	int ret = export_check_name(name, strlen(name), err);

	if (ret < 0)
		return ret;
	if (!*name)
		return err_set(err, EINVAL, "an export name must not be empty");
	if (s->description && export_check_name(s->description, strlen(s->description), NULL) < 0)
		return err_set(err, EINVAL,
			"export '%.100s': description: at most 4096 bytes of valid UTF-8", name);
	if (exports_by_name(t, name) || (t->foreign && json_object_get(t->foreign, name)))
		return err_set(err, EEXIST, "export '%.100s': the name is already in use", name);
	return check_kind(s, err);
}

int exports_add(struct exports *t, const struct export_spec *spec, struct export_entry **ret,
	struct err *err)
{
	struct export_entry e = {
		.kind = spec->kind, .readonly = spec->readonly, .source = spec->source};
	int r = check(t, spec, err);
	bool complete;

	if (r < 0)
		return r;
	complete = copy_texts(&e, spec);
	if (complete && e.kind == EXPORT_PROXY && !e.bitmap)
		complete = asprintf(&e.bitmap, "%s.bitmap", e.image) >= 0;
	if (!complete || reserve(t) < 0) {
		free_entry(&e);
		return err_sys(err, ENOMEM, "export '%s'", spec->name);
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
		if (strcmp(t->entries[i].name, name) == 0)
			return &t->entries[i];
	}
	return NULL;
}

struct export_entry *exports_by_image(const struct exports *t, const char *image)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!t->entries[i].parent && strcmp(t->entries[i].image, image) == 0)
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

const char *exports_kind_name(enum export_kind kind)
{
	switch (kind) {
	case EXPORT_TARGET:
		return "target";
	case EXPORT_COW:
		return "cow-target";
	case EXPORT_PROXY:
		return "proxy";
	}
	return "?";
}

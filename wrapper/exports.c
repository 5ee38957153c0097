/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The export table; see exports.h. */
#include "exports.h"

#include "export.h"
#include "util.h"

#include <errno.h>
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

static void free_entry(struct export_entry *e)
{
	free(e->name);
	free(e->image);
	free(e->description);
}

static int check(
	const struct exports *t, const char *name, const char *description, struct err *err)
{
	int ret = export_check_name(name, strlen(name), err);

	if (ret < 0)
		return ret;
	if (!*name)
		return err_set(err, EINVAL, "an export name must not be empty");
	if (description && export_check_name(description, strlen(description), NULL) < 0)
		return err_set(err, EINVAL,
			"export '%.100s': description: at most 4096 bytes of valid UTF-8", name);
	if (exports_by_name(t, name) || (t->foreign && json_object_get(t->foreign, name)))
		return err_set(err, EEXIST, "export '%.100s': the name is already in use", name);
	return 0;
}

int exports_add(struct exports *t, const char *name, const char *image, const char *description,
	bool readonly, enum export_source source, struct export_entry **ret, struct err *err)
{
	struct export_entry e = {.readonly = readonly, .source = source};
	int r = check(t, name, description, err);

	if (r < 0)
		return r;
	e.name = strdup(name);
	e.image = strdup(image);
	e.description = description ? strdup(description) : NULL;
	if (!e.name || !e.image || (description && !e.description) || reserve(t) < 0) {
		free_entry(&e);
		return err_sys(err, ENOMEM, "export '%s'", name);
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
		if (strcmp(t->entries[i].image, image) == 0)
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
	}
	return "?";
}

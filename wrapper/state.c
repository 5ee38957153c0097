/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing the state file; see state.h. */
#include "state.h"

#include "fsutil.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static int bad_entry(const char *path, const char *name, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s: image '%.100s': %s", path, name, what);
}

static int keep(struct exports *t, const char *name, json_t *entry)
{
	if (!t->foreign)
		t->foreign = json_object();
	return json_object_set(t->foreign, name, entry) < 0 ? -ENOMEM : 0;
}

static int keep_foreign(
	struct exports *t, const char *path, const char *name, json_t *entry, const char *mode)
{
	log_warn("%s: '%s': mode %s is not built yet; the entry is kept, not served", path, name,
		mode);
	return keep(t, name, entry);
}

/* What of ours is not understood must not be served in another way, nor lost when saved. */
static int check_options(const char *path, const char *name, json_t *entry, struct err *err)
{
	json_t *readonly = json_object_get(entry, "readonly");
	json_t *description = json_object_get(entry, "description");

	if (readonly && !json_is_boolean(readonly))
		return bad_entry(path, name, "\"readonly\" must be true or false", err);
	if (description && !json_is_string(description))
		return bad_entry(path, name, "\"description\" must be a text", err);
	return 0;
}

static int load_entry(
	struct exports *t, const char *path, const char *name, json_t *entry, struct err *err)
{
	const char *mode = json_string_value(json_object_get(entry, "mode"));
	const char *image = json_string_value(json_object_get(entry, "image_path"));
	const char *description = json_string_value(json_object_get(entry, "description"));
	struct export_entry *known = exports_by_name(t, name);
	struct err why = {0};

	if (!mode)
		return bad_entry(path, name, "\"mode\" is missing", err);
	if (strcmp(mode, "target") != 0)
		return keep_foreign(t, path, name, entry, mode);
	if (!image || !*image)
		return bad_entry(path, name, "\"image_path\" is missing", err);
	if (check_options(path, name, entry, err) < 0)
		return -EINVAL;
	if (known) {
		log_warn("%s: '%s' is also given by %s, which wins; the entry is kept", path, name,
			exports_source_name(known->source));
		return keep(t, name, entry);
	}
	if (exports_add(t, name, image, description,
		    json_is_true(json_object_get(entry, "readonly")), EXPORT_FROM_STATE, NULL,
		    &why) < 0)
		return bad_entry(path, name, why.text, err);
	if (access(image, F_OK) < 0)
		log_warn("%s: '%s': %s: %s; the entry is kept and served once the file is there",
			path, name, image, strerror(errno));
	return 0;
}

static int check_format(json_t *root, const char *path, struct err *err)
{
	json_t *version = json_object_get(root, "version");

	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return err_set(
			err, EINVAL, "%s: not a state file of version 2 (\"version\": 2)", path);
	if (!json_is_object(json_object_get(root, "images")))
		return err_set(err, EINVAL, "%s: \"images\" must be an object", path);
	return 0;
}

/* Back to FOREIGN (taken) and the entries up to LAST_ID. */
static void undo(struct exports *t, uint32_t last_id, json_t *foreign)
{
	while (t->count > 0 && t->entries[t->count - 1].id > last_id)
		exports_remove(t, t->entries[t->count - 1].id);
	t->last_id = last_id;
	json_decref(t->foreign);
	t->foreign = foreign;
}

static int load_all(json_t *root, const char *path, struct exports *t, struct err *err)
{
	int ret = check_format(root, path, err);
	json_t *foreign = json_copy(t->foreign);
	uint32_t last_id = t->last_id;
	const char *name;
	json_t *entry;

	json_object_foreach(json_object_get(root, "images"), name, entry)
	{
		if (ret == 0)
			ret = load_entry(t, path, name, entry, err);
	}
	if (ret < 0)
		undo(t, last_id, foreign);
	else
		json_decref(foreign);
	return ret;
}

int state_load(const char *path, struct exports *t, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	json_error_t error;
	size_t len;
	json_t *root;
	int ret = fs_read(path, STATE_BYTES_MAX, &text, &len, err);

	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	if (len == 0)
		return err_set(err, EINVAL, "%s: empty; remove it to begin with no exports", path);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_set(err, EINVAL, "%s:%d: %s", path, error.line, error.text);
	ret = load_all(root, path, t, err);
	json_decref(root);
	return ret;
}

/* NULL: the path is no UTF-8, or no memory. */
static json_t *entry_of(const struct export_entry *e)
{
	json_t *entry = json_pack("{s:s, s:s}", "mode", "target", "image_path", e->image);
	int ret = 0;

	if (entry && e->readonly)
		ret = json_object_set_new(entry, "readonly", json_true());
	if (entry && e->description && ret == 0)
		ret = json_object_set_new(entry, "description", json_string(e->description));
	if (ret == 0)
		return entry;
	json_decref(entry);
	return NULL;
}

static int add_images(json_t *images, const char *path, const struct exports *t, struct err *err)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct export_entry *e = &t->entries[i];

		if (e->source != EXPORT_FROM_STATE)
			continue;
		if (json_object_set_new(images, e->name, entry_of(e)) < 0)
			return err_set(err, EINVAL,
				"%s: image '%s': not saved: out of memory, or '%s' is not valid UTF-8",
				path, e->name, e->image);
	}
	return 0;
}

int state_save(const char *path, const struct exports *t, struct err *err)
{
	json_t *images = t->foreign ? json_copy(t->foreign) : json_object();
	int ret = add_images(images, path, t, err);
	json_t *root = json_pack("{s:i, s:o}", "version", 2, "images", images);
	CLEANUP_FREE char *text = root ? json_dumps(root, JSON_INDENT(4) | JSON_SORT_KEYS) : NULL;

	json_decref(root);
	if (ret < 0)
		return ret;
	if (!text)
		return err_sys(err, ENOMEM, "%s", path);
	return fs_replace(path, text, strlen(text), 0600, err);
}

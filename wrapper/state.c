/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and writing the state file; see state.h. A file is taken over as a whole or not at all;
 * what is written is sorted and indented as the original did it.
 */
#include "state.h"

#include "export_settings.h"
#include "fsutil.h"
#include "log.h"
#include "serial.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
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
	log_export(LOG_LEVEL_WARN, name, "%s: mode %s is not known; the entry is kept, not served",
		path, mode);
	return keep(t, name, entry);
}

/* What of ours is not understood must not be served in another way, nor lost when saved. */
static int check_options(const char *path, const char *name, json_t *entry, struct err *err)
{
	static const char *const texts[] = {"description", "cow_dir", "bitmap_path",
		"control_socket_path", "remote_host", "remote_export_name", "origin_uri"};
	json_t *readonly = json_object_get(entry, "readonly");

	if (readonly && !json_is_boolean(readonly))
		return bad_entry(path, name, "\"readonly\" must be true or false", err);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *text = json_object_get(entry, texts[i]);
		char what[64];

		snprintf(what, sizeof(what), "\"%s\" must be a text", texts[i]);
		if (text && !json_is_string(text) && !json_is_null(text))
			return bad_entry(path, name, what, err);
	}
	return 0;
}

static const char *text_of(json_t *entry, const char *key)
{
	return json_string_value(json_object_get(entry, key));
}

/* The original wants a text there; people write numbers. */
static const char *port_of(json_t *entry, char room[24])
{
	json_t *port = json_object_get(entry, "remote_port");

	if (!json_is_integer(port))
		return json_string_value(port);
	snprintf(room, 24, "%lld", (long long)json_integer_value(port));
	return room;
}

static int read_copy(struct export_entry *e, const char *path, json_t *entry, struct err *err)
{
	json_t *copy = json_object_get(entry, "copy"), *rate = json_object_get(copy, "rate");
	json_t *migration = json_object_get(entry, "migration");
	const char *state = text_of(copy, "state");
	bool paused = state && strcmp(state, "paused") == 0;

	if (copy &&
		((!paused && (!state || strcmp(state, "running"))) ||
			(rate && !json_is_integer(rate)) || json_integer_value(rate) < 0))
		return bad_entry(path, e->config.name,
			"\"copy\" must have a \"state\" (running or paused) and a \"rate\"", err);
	if (migration && !json_is_object(migration))
		return bad_entry(path, e->config.name, "\"migration\" must be an object", err);
	if (copy && e->config.kind == EXPORT_PROXY) {
		e->copy = paused ? EXPORT_COPY_PAUSED : EXPORT_COPY_RUNNING;
		e->copy_rate = (uint64_t)json_integer_value(rate);
	}
	e->migration = json_incref(migration);
	return 0;
}

static int add_entry(struct exports *t, const char *path, struct export_config *spec, json_t *entry,
	struct err *err)
{
	struct export_entry *e;
	struct err why = {0};
	char port[24];
	int ret;

	spec->cow_dir = text_of(entry, "cow_dir");
	if (spec->kind == EXPORT_PROXY) {
		spec->bitmap = text_of(entry, "bitmap_path");
		spec->control = text_of(entry, "control_socket_path");
		spec->uri = text_of(entry, "origin_uri");
		spec->host = text_of(entry, "remote_host");
		spec->port = port_of(entry, port);
		spec->exportname = text_of(entry, "remote_export_name");
	}
	ret = export_settings_read(json_object_get(entry, "settings"), spec, &why);
	if (ret == 0)
		ret = exports_add(t, spec, &e, &why);
	export_settings_free(spec);
	if (ret < 0)
		return bad_entry(path, spec->name, why.text, err);
	if (e->config.kind != EXPORT_PROXY && access(e->config.image, F_OK) < 0)
		log_export(LOG_LEVEL_WARN, e->config.name,
			"%s: %s: %s; the entry is kept and served once the file is there", path,
			e->config.image, strerror(errno));
	return read_copy(e, path, entry, err);
}

static int load_entry(
	struct exports *t, const char *path, const char *name, json_t *entry, struct err *err)
{
	const char *mode = text_of(entry, "mode");
	struct export_entry *known = exports_by_name(t, name);
	enum export_kind kind;
	struct export_config spec = {.name = name,
		.image = text_of(entry, "image_path"),
		.description = text_of(entry, "description"),
		.readonly = json_is_true(json_object_get(entry, "readonly")),
		.source = EXPORT_FROM_STATE};

	if (!mode)
		return bad_entry(path, name, "\"mode\" is missing", err);
	if (!export_config_find_mode(mode, &kind))
		return keep_foreign(t, path, name, entry, mode);
	spec.kind = (int)kind;
	if (!spec.image || !*spec.image)
		return bad_entry(path, name, "\"image_path\" is missing", err);
	if (check_options(path, name, entry, err) < 0)
		return -EINVAL;
	if (known) {
		log_export(LOG_LEVEL_WARN, name,
			"%s: also given by %s, which wins; the entry is kept", path,
			exports_source_name(known->config.source));
		return keep(t, name, entry);
	}
	return add_entry(t, path, &spec, entry, err);
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

/* Those that were made up before; see serial.h. */
static int load_serials(json_t *root, const char *path, struct exports *t, struct err *err)
{
	json_t *all = json_object_get(root, "serials"), *serial;
	const char *image;

	if (all && !json_is_object(all))
		return err_set(err, EINVAL, "%s: \"serials\" must be an object", path);
	json_object_foreach(all, image, serial)
	{
		const char *text = json_string_value(serial);

		if (!text || !serial_is_good(text))
			return err_set(err, EINVAL,
				"%s: \"serials\": '%.100s': must be a text of 1 to %d printable characters",
				path, image, EXPORT_SERIAL_MAX);
	}
	json_decref(t->serials);
	t->serials = json_incref(all);
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
	if (ret == 0)
		ret = load_serials(root, path, t, err);
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

static int set_text(json_t *entry, const char *key, const char *text)
{
	return text ? json_object_set_new(entry, key, json_string(text)) : 0;
}

static int set_origin(json_t *entry, const struct export_entry *e)
{
	json_t *name = e->config.exportname ? json_string(e->config.exportname) : json_null();

	if (e->config.uri) {
		json_decref(name);
		return set_text(entry, "origin_uri", e->config.uri);
	}
	if (set_text(entry, "remote_host", e->config.host) ||
		set_text(entry, "remote_port", e->config.port)) {
		json_decref(name);
		return -1;
	}
	return json_object_set_new(entry, "remote_export_name", name);
}

static int set_copy(json_t *entry, const struct export_entry *e)
{
	if (e->copy == EXPORT_COPY_NONE)
		return 0;
	return json_object_set_new(entry, "copy",
		json_pack("{s:s, s:I}", "state",
			e->copy == EXPORT_COPY_PAUSED ? "paused" : "running", "rate",
			(json_int_t)e->copy_rate));
}

static int set_settings(json_t *entry, const struct export_entry *e)
{
	json_t *settings = export_settings_write(&e->config);
	int ret = settings ? 0 : -1;

	if (json_object_size(settings) > 0)
		ret = json_object_set(entry, "settings", settings);
	json_decref(settings);
	return ret;
}

/* NULL: a path is no UTF-8, or no memory. */
static json_t *entry_of(const struct export_entry *e)
{
	json_t *entry = json_pack("{s:s, s:s}", "mode", export_config_mode(e->config.kind),
		"image_path", e->config.image);
	int ret = entry ? 0 : -1;

	if (ret == 0 && e->config.readonly)
		ret = json_object_set_new(entry, "readonly", json_true());
	if (ret == 0 && e->config.kind == EXPORT_PROXY)
		ret = set_origin(entry, e);
	if (ret == 0 && e->migration)
		ret = json_object_set_new(entry, "migration", json_deep_copy(e->migration));
	if (ret || set_text(entry, "description", e->config.description) ||
		set_text(entry, "cow_dir", e->config.cow_dir) ||
		set_text(entry, "bitmap_path", e->config.bitmap) ||
		set_text(entry, "control_socket_path", e->config.control) || set_copy(entry, e) ||
		set_settings(entry, e)) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}

static int add_images(json_t *images, const char *path, const struct exports *t, struct err *err)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct export_entry *e = &t->entries[i];

		if (e->config.source != EXPORT_FROM_STATE || (e->draining && !e->next))
			continue;
		if (json_object_set_new(images, e->config.name, entry_of(e)) < 0)
			return err_set(err, EINVAL,
				"%s: image '%s': not saved: out of memory, or '%s' is not valid UTF-8",
				path, e->config.name, e->config.image);
	}
	return 0;
}

int state_save(const char *path, const struct exports *t, struct err *err)
{
	json_t *images = t->foreign ? json_copy(t->foreign) : json_object();
	int ret = add_images(images, path, t, err);
	json_t *root = json_pack("{s:i, s:o}", "version", 2, "images", images);
	CLEANUP_FREE char *text = NULL;

	if (json_object_size(t->serials) > 0)
		json_object_set(root, "serials", t->serials);
	text = root ? json_dumps(root, JSON_INDENT(4) | JSON_SORT_KEYS) : NULL;
	json_decref(root);
	if (ret < 0)
		return ret;
	if (!text)
		return err_sys(err, ENOMEM, "%s", path);
	return fs_replace(path, text, strlen(text), 0600, err);
}

/* For a while. */

int state_shelve(struct exports *t, const struct export_entry *e)
{
	json_t *entry = entry_of(e);

	if (!entry)
		return -EINVAL;
	if (!t->foreign)
		t->foreign = json_object();
	return json_object_set_new(t->foreign, e->config.name, entry) < 0 ? -ENOMEM : 0;
}

int state_unshelve(const char *path, struct exports *t, const char *name, struct export_entry **ret,
	struct err *err)
{
	json_t *entry = json_incref(json_object_get(t->foreign, name));
	int r;

	json_object_del(t->foreign, name);
	r = load_entry(t, path, name, entry, err);
	*ret = r == 0 ? exports_by_name(t, name) : NULL;
	if (r < 0)
		keep(t, name, entry);
	json_decref(entry);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Through the table of keys, whatever it has; see export_settings.h. */
#include "export_settings.h"

#include "util.h"

#include <errno.h>
#include <string.h>

enum { TEXTS_MAX = 1024 };

/* They have names of their own in the state file and in requests, or cannot be given there. */
static bool is_elsewhere(const struct key *k)
{
	static const char *const names[] = {"mode", "image", "cache", "readonly", "description",
		"default", "cow-dir", "origin", "host", "port", "exportname", "bitmap", "control"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(k->name, names[i]) == 0)
			return true;
	}
	return false;
}

static int set_key(const struct key *k, struct export_config *c, json_t *value, struct err *err)
{
	const char *texts[TEXTS_MAX];
	size_t count = json_array_size(value);
	struct err why = {0};
	int r;

	if (!json_is_array(value) || count > TEXTS_MAX)
		return err_set(err, EINVAL, "%s: must be an array of at most %d texts", k->name,
			TEXTS_MAX);
	for (size_t i = 0; i < count; i++) {
		texts[i] = json_string_value(json_array_get(value, i));
		if (!texts[i])
			return err_set(err, EINVAL, "%s: must be an array of texts", k->name);
	}
	r = key_set(k, c, texts, count, &why);
	return r < 0 ? err_set(err, -r, "%s: %s", k->name, why.text) : 0;
}

int export_settings_read(json_t *from, struct export_config *c, struct err *err)
{
	const char *name;
	json_t *value;
	int ret = 0;

	if (from && !json_is_object(from))
		return err_set(err, EINVAL, "\"settings\" must be an object");
	json_object_foreach(from, name, value)
	{
		const struct key *k = key_find(&export_keys, name);

		if (ret < 0)
			break;
		if (!k || is_elsewhere(k))
			ret = err_set(err, EINVAL, "%.100s: no such setting", name);
		else
			ret = set_key(k, c, value, err);
	}
	return ret;
}

void export_settings_free(struct export_config *c)
{
	for (size_t i = 0; i < export_keys.count; i++) {
		if (!is_elsewhere(&export_keys.keys[i]))
			key_clear(&export_keys.keys[i], c);
	}
}

static json_t *value_of(const struct key *k, const struct export_config *c)
{
	struct key_texts texts;
	json_t *list = json_array();
	int r = key_get(k, c, &texts);

	for (size_t i = 0; r == 0 && i < texts.count; i++)
		r = json_array_append_new(list, json_string(texts.items[i]));
	key_free_texts(&texts);
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

json_t *export_settings_write(const struct export_config *c)
{
	json_t *all = json_object();

	for (size_t i = 0; all && i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];

		if (is_elsewhere(k) || !key_is_given(k, c))
			continue;
		if (json_object_set_new(all, k->name, value_of(k, c)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

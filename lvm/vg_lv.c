/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports of `lvs --reportformat json`; see vg_lv.h. Pure. LVM writes all values as texts. What is
 * missing or odd makes the whole report one that is not understood: a volume half known must not
 * be decided on.
 */
#include "vg_lv.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

const char vg_lvs_fields[] =
	"vg_name,lv_name,lv_uuid,lv_attr,lv_size,origin,origin_size,pool_lv,lv_tags,lv_time,"
	"lv_active_locally,lv_device_open,lv_snapshot_invalid,lv_merging,vg_extent_size,vg_free";

static bool take_text(json_t *row, const char *key, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(row, key));

	if (!text || strlen(text) >= room)
		return false;
	strcpy(out, text);
	return true;
}

/* Hidden volumes are reported in brackets. */
static bool take_name(json_t *row, const char *key, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(row, key));
	size_t len = text ? strlen(text) : 0;

	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!text || len >= room)
		return false;
	memcpy(out, text, len);
	out[len] = 0;
	return true;
}

/* "" is 0: the field means nothing for this volume. */
static bool take_number(json_t *row, const char *key, uint64_t *out)
{
	const char *text = json_string_value(json_object_get(row, key));

	*out = 0;
	return text && (!*text || str_number(text, 0, INT64_MAX, out) == 0);
}

/* Of yes-or-no fields LVM prints the name of the field or a word for yes, "" for no. */
static bool take_flag(json_t *row, const char *key, bool *out)
{
	const char *text = json_string_value(json_object_get(row, key));

	*out = text && *text && strcmp(text, "unknown") != 0;
	return text != NULL;
}

static bool take_flags(json_t *row, struct vg_lv *lv)
{
	return take_flag(row, "lv_active_locally", &lv->is_active) &&
		take_flag(row, "lv_device_open", &lv->is_open) &&
		take_flag(row, "lv_snapshot_invalid", &lv->is_invalid) &&
		take_flag(row, "lv_merging", &lv->is_merging);
}

static bool take_numbers(json_t *row, struct vg_lv *lv)
{
	return take_number(row, "lv_size", &lv->size) && lv->size > 0 &&
		take_number(row, "origin_size", &lv->origin_size) &&
		take_number(row, "lv_time", &lv->created) &&
		take_number(row, "vg_extent_size", &lv->extent) && lv->extent > 0 &&
		take_number(row, "vg_free", &lv->vg_free);
}

/* LV gets everything or nothing. */
static bool take(json_t *row, struct vg_lv *lv)
{
	struct vg_lv found = {0};
	const char *tags = json_string_value(json_object_get(row, "lv_tags"));
	char attr[32];

	if (!tags || !take_text(row, "vg_name", found.vg, sizeof(found.vg)) ||
		!take_name(row, "lv_name", found.lv, sizeof(found.lv)) ||
		!take_text(row, "lv_uuid", found.uuid, sizeof(found.uuid)) ||
		!take_name(row, "origin", found.origin, sizeof(found.origin)) ||
		!take_name(row, "pool_lv", found.pool, sizeof(found.pool)) ||
		!take_text(row, "lv_attr", attr, sizeof(attr)) || !take_numbers(row, &found) ||
		!take_flags(row, &found) || !*found.vg || !*found.lv || !*found.uuid)
		return false;
	found.kind = attr[0];
	found.tags = strdup(tags);
	if (!found.tags)
		return false;
	*lv = found;
	return true;
}

static int take_rows(json_t *rows, struct vg_lvs *ret)
{
	size_t i, count = json_array_size(rows);
	json_t *row;

	if (!json_is_array(rows) || count > VG_LVS_MAX)
		return -EPROTO;
	ret->all = calloc(count + 1, sizeof(*ret->all));
	if (!ret->all)
		return -ENOMEM;
	json_array_foreach(rows, i, row)
	{
		if (!take(row, &ret->all[i]))
			return -EPROTO;
		ret->count++;
	}
	return 0;
}

int vg_lvs_parse(const char *text, struct vg_lvs *ret, struct err *err)
{
	json_error_t fault;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
	json_t *rows = json_object_get(json_array_get(json_object_get(root, "report"), 0), "lv");
	int r;

	*ret = (struct vg_lvs){0};
	r = take_rows(rows, ret);
	json_decref(root);
	if (r < 0) {
		vg_lvs_done(ret);
		return err_sys(err, -r, "lvs: its report is not understood");
	}
	return 0;
}

void vg_lvs_done(struct vg_lvs *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->all[i].tags);
	free(l->all);
	*l = (struct vg_lvs){0};
}

bool vg_lv_is_snapshot(const struct vg_lv *lv)
{
	return *lv->origin && !*lv->pool && (lv->kind == 's' || lv->kind == 'S');
}

bool vg_lv_tag_value(const struct vg_lv *lv, const char *prefix, char *out, size_t room)
{
	size_t skip = strlen(prefix);

	for (const char *p = lv->tags; *p;) {
		size_t len = strcspn(p, ",");

		if (len >= skip && len - skip < room && strncmp(p, prefix, skip) == 0) {
			memcpy(out, p + skip, len - skip);
			out[len - skip] = 0;
			return true;
		}
		p += len + (p[len] == ',');
	}
	return false;
}

bool vg_lv_has_tag(const struct vg_lv *lv, const char *tag)
{
	size_t wanted = strlen(tag);

	for (const char *p = lv->tags; *p;) {
		size_t len = strcspn(p, ",");

		if (len == wanted && strncmp(p, tag, len) == 0)
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}

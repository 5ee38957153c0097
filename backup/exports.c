/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From exports to volumes; see exports.h. A volume group may not be active at this moment, so names
 * under /dev are believed as they are; other paths are looked at as devices. Snapshots of exports
 * and proxies are no volumes.
 */
#include "exports.h"

#include "ctl.h"
#include "spec.h"
#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { ASK_MS = 5000 };

int exports_ask(const char *control, json_t **ret, struct err *err)
{
	return ctl_call(control, json_pack("{s:s}", "cmd", "list"), ASK_MS, ret, err);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Volumes. */

static bool read_line(const char *path, char *out, int room)
{
	FILE *f = fopen(path, "re");
	bool good = f && fgets(out, room, f);

	if (f)
		fclose(f);
	if (good)
		out[strcspn(out, "\n")] = 0;
	return good;
}

/* By the kernel's names of a device. */
static bool mapped(const char *image, char *vg, char *lv)
{
	char path[64], name[300], uuid[300];
	struct stat st;

	if (stat(image, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/uuid", major(st.st_rdev),
		minor(st.st_rdev));
	if (!read_line(path, uuid, sizeof(uuid)) || strncmp(uuid, "LVM-", 4) != 0)
		return false;
	strcpy(strrchr(path, '/'), "/name");
	return read_line(path, name, sizeof(name)) && spec_split_mapped(name, vg, lv);
}

/* /dev/VG/LV or /dev/mapper/VG-LV; but other things are in folders of /dev as well. */
static bool named(const char *image, char *vg, char *lv)
{
	static const char *const others[] = {
		"disk", "block", "char", "loop", "shm", "md", "nvme", "zvol", "drbd", "cciss"};
	char text[SPEC_TEXT_MAX];
	struct spec s;
	struct err err;

	snprintf(text, sizeof(text), "lvm:%s", image);
	if (strncmp(image, "/dev/", 5) != 0 || spec_parse(&s, text, &err) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (strcmp(s.vg, others[i]) == 0)
			return false;
	}
	strcpy(vg, s.vg);
	strcpy(lv, s.lv);
	return true;
}

bool exports_volume_of(const char *image, char *out, size_t room)
{
	char vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX];
	struct stat st;

	if (!mapped(image, vg, lv) && (stat(image, &st) == 0 || !named(image, vg, lv)))
		return false;
	return (size_t)snprintf(out, room, "lvm:/dev/%s/%s", vg, lv) < room;
}

void exports_name(const char *name, char out[CONFIG_NAME_MAX + 1])
{
	size_t used = 0;

	if (!isalnum((unsigned char)*name))
		out[used++] = 'x';
	for (; *name && used < CONFIG_NAME_MAX; name++) {
		unsigned char c = (unsigned char)*name;

		out[used++] = (char)(c < 0x80 && (isalnum(c) || strchr("._-", c)) ? c : '_');
	}
	out[used] = 0;
}

static bool is_target(const json_t *one)
{
	return strcmp(text_of(one, "mode"), "target") == 0 && !json_object_get(one, "snapshot_of");
}

/* To a configuration in memory. */

static bool is_excluded(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->general.exclude.count; i++) {
		if (fnmatch(c->general.exclude.items[i], name, 0) == 0)
			return true;
	}
	return false;
}

static bool is_source(const struct config *c, const char *export, const char *source)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct config_volume *v = &c->volumes[i];
		char plain[SPEC_TEXT_MAX];
		struct spec s;
		struct err err;

		if (v->kind == CONFIG_EXPORT && strcmp(v->source + strlen("export:"), export) == 0)
			return true;
		if (v->kind != CONFIG_VOLUME || spec_parse(&s, v->source, &err) < 0)
			continue;
		spec_print(&s, false, plain);
		if (strcmp(plain, source) == 0)
			return true;
	}
	return false;
}

int exports_add(struct config *c, const json_t *list, struct err *err)
{
	struct err first = {0};
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(list, "exports"), i, one)
	{
		const char *export = text_of(one, "name");
		char source[SPEC_TEXT_MAX], name[CONFIG_NAME_MAX + 1];
		struct err why = {0};

		if (!is_target(one) || is_excluded(c, export) ||
			!exports_volume_of(text_of(one, "image"), source, sizeof(source)) ||
			is_source(c, export, source))
			continue;
		exports_name(export, name);
		if (config_add(c, name, source, &why) < 0 && !first.code)
			err_set(&first, why.code, "export %.100s: %.380s", export, why.text);
	}
	return first.code ? err_set(err, first.code, "%s", first.text) : 0;
}

/* To a file. */

static bool is_taken(const json_t *list, size_t count, const char *name)
{
	char other[CONFIG_NAME_MAX + 1];

	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(json_object_get(list, "exports"), i);

		exports_name(text_of(one, "name"), other);
		if (strcasecmp(other, name) == 0)
			return true;
	}
	return false;
}

static void print_other(const json_t *one, FILE *out)
{
	char name[256], image[512];

	str_printable(name, sizeof(name), text_of(one, "name"), strlen(text_of(one, "name")));
	str_printable(image, sizeof(image), text_of(one, "image"), strlen(text_of(one, "image")));
	fprintf(out, "# export %s: its image %s is no logical volume", name, image);
	if (is_target(one))
		fprintf(out, "; source = \"export:...\" would copy it, too");
	fprintf(out, "\n\n");
}

static bool is_copied(const json_t *list, size_t count, const char *source)
{
	char other[SPEC_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(json_object_get(list, "exports"), i);

		if (is_target(one) &&
			exports_volume_of(text_of(one, "image"), other, sizeof(other)) &&
			strcmp(other, source) == 0)
			return true;
	}
	return false;
}

static void print_volume(const char *title, const char *source, const char *targets, FILE *out)
{
	char target[3 * SPEC_NAME_MAX];

	snprintf(target, sizeof(target), "lvm:/dev/%.*s/%s_bk.%%n", SPEC_NAME_MAX, targets,
		naming_source(source));
	/* None of them has a character that would have to be escaped. */
	fprintf(out, "volume \"%s\" {\n\tsource = \"%s\"\n\ttarget = \"%s\"\n}\n\n", title, source,
		target);
}

static void print_one(const json_t *list, size_t index, const char *targets, FILE *out)
{
	const json_t *one = json_array_get(json_object_get(list, "exports"), index);
	char source[SPEC_TEXT_MAX], name[CONFIG_NAME_MAX + 1], title[CONFIG_NAME_MAX + 24];

	if (json_object_get(one, "snapshot_of"))
		return;
	if (!is_target(one) || !exports_volume_of(text_of(one, "image"), source, sizeof(source))) {
		print_other(one, out);
		return;
	}
	exports_name(text_of(one, "name"), name);
	if (is_taken(list, index, name))
		snprintf(title, sizeof(title), "%.50s-%zu", name, index + 1);
	else
		snprintf(title, sizeof(title), "%s", name);
	if (is_copied(list, index, source))
		fprintf(out, "# export %s: its image is that of another one above\n\n", title);
	else
		print_volume(title, source, targets, out);
}

void exports_print_plan(const json_t *list, const char *targets, FILE *out)
{
	fprintf(out,
		"# backup.conf(5), made by xnbd-backup plan of the wrapper's exports.\n\n"
		"# With %%n in a target copies take turns in two volumes, so that there is "
		"always a good one.\n"
		"defaults {\n\tkeep-last = 1\n\tevery = 24\n}\n\n");
	for (size_t i = 0; i < json_array_size(json_object_get(list, "exports")); i++)
		print_one(list, i, targets, out);
}

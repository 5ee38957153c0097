/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of LVM with their arguments; see vg_ask.h. Names were checked before they came here:
 * none begins with a hyphen. Sizes are given in bytes, so that nothing is rounded on the way.
 */
#include "vg_ask.h"

#include "util.h"
#include "vg_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_ROOM = 2 * SPEC_NAME_MAX + 2, TAGS_MAX = 8 };

static void place_of(char out[PLACE_ROOM], const char *vg, const char *lv)
{
	snprintf(out, PLACE_ROOM, "%s/%s", vg, lv);
}

static void add_all(struct vg_args *a, const char *const *words)
{
	for (; *words; words++)
		vg_args_add(a, *words);
}

int vg_list(const char *vg, struct vg_lvs *ret, struct err *err)
{
	static const char *const words[] = {"lvs", "--all", "--reportformat", "json", "--units",
		"b", "--nosuffix", "--config", "report { time_format=\"%s\" }", "--options",
		vg_lvs_fields, NULL};
	CLEANUP_FREE char *text = NULL;
	struct vg_args args = {0};
	int r;

	add_all(&args, words);
	vg_args_add(&args, vg);
	r = vg_run(&args, &text, err);
	return r < 0 ? r : vg_lvs_parse(text, ret, err);
}

const struct vg_lv *vg_find(const struct vg_lvs *l, const char *lv)
{
	for (size_t i = 0; i < l->count; i++) {
		if (strcmp(l->all[i].lv, lv) == 0)
			return &l->all[i];
	}
	return NULL;
}

int vg_make_snapshot(const struct vg_snapshot *s, struct err *err)
{
	static const char *const words[] = {
		"lvcreate", "--yes", "--snapshot", "--setactivationskip", "n", NULL};
	struct vg_args args = {0};
	char place[PLACE_ROOM], size[32], chunk[32];

	place_of(place, s->vg, s->origin);
	snprintf(size, sizeof(size), "%llub", (unsigned long long)s->size);
	snprintf(chunk, sizeof(chunk), "%llub", (unsigned long long)s->chunk);
	add_all(&args, words);
	add_all(&args,
		(const char *const[]){"--permission", s->writable ? "rw" : "r", "--size", size,
			"--chunksize", chunk, "--name", s->name, NULL});
	for (size_t i = 0; s->tags[i] && i < TAGS_MAX; i++) {
		vg_args_add(&args, "--addtag");
		vg_args_add(&args, s->tags[i]);
	}
	vg_args_add(&args, place);
	return vg_run(&args, NULL, err);
}

int vg_extend(const char *vg, const char *lv, uint64_t size, struct err *err)
{
	struct vg_args args = {0};
	char place[PLACE_ROOM], text[32];

	place_of(place, vg, lv);
	snprintf(text, sizeof(text), "%llub", (unsigned long long)size);
	add_all(&args, (const char *const[]){"lvextend", "--yes", "--size", text, place, NULL});
	return vg_run(&args, NULL, err);
}

/* --select that matches nothing is no failure for LVM. */
static int see_that_it_is_gone(const struct vg_lv *lv, struct err *err)
{
	struct vg_lvs all;
	int r = vg_list(lv->vg, &all, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.count && r == 0; i++) {
		if (strcmp(all.all[i].uuid, lv->uuid) == 0)
			r = err_set(err, EPERM, "%s/%s: LVM did not remove it", lv->vg, lv->lv);
	}
	vg_lvs_done(&all);
	return r;
}

int vg_remove_snapshot(const struct vg_lv *lv, const char *tag, struct err *err)
{
	struct vg_args args = {0};
	char select[256];
	int r;

	snprintf(select, sizeof(select), "lv_uuid=\"%s\" && lv_tags=\"%s\" && origin!=\"\"",
		lv->uuid, tag);
	add_all(&args,
		(const char *const[]){"lvremove", "--yes", "--select", select, lv->vg, NULL});
	r = vg_run(&args, NULL, err);
	return r < 0 ? r : see_that_it_is_gone(lv, err);
}

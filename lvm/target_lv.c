/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Target volumes; see target_lv.h. LVM rounds sizes up to whole extents of that group, so a volume
 * may be a little larger than its source; what is behind the source's end is not touched.
 */
#include "target_lv.h"

#include "guard.h"
#include "log.h"
#include "util.h"
#include "vg_ask.h"
#include "vg_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int make(const struct spec *s, uint64_t size, struct err *err)
{
	char text[32];
	const char *const words[] = {"lvcreate", "--yes", "--size", text, "--wipesignatures", "y",
		"--zero", "y", "--name", s->lv, s->vg};
	struct vg_args args = {0};

	snprintf(text, sizeof(text), "%llub", (unsigned long long)size);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		vg_args_add(&args, words[i]);
	return vg_run(&args, NULL, err);
}

/* Plain, an origin, thin, mirrored, a RAID or cached: lv_attr in lvs(8). */
static int check(const struct spec *s, const struct vg_lv *lv, const char *source, struct err *err)
{
	int ret;

	if (!strchr("-oVmMrRC", lv->kind))
		return err_set(err, EINVAL, "%s: a volume of kind '%c' is no place for a copy",
			s->path, lv->kind);
	if (!lv->is_active)
		return err_set(err, ENXIO, "%s: not active here (lvchange -ay %s/%s)", s->path,
			s->vg, s->lv);
	/* First the better reason: the source is open as well, by us. */
	ret = guard_check(SPEC_LVM, s->path, source, err);
	if (ret == 0 && lv->is_open)
		ret = err_set(err, EBUSY, "%s: is open (mounted, exported, or in use)", s->path);
	return ret;
}

static int prepare(const struct spec *s, const struct vg_lv *lv, uint64_t size, const char *source,
	bool dry_run, enum target_lv_found *ret_found, struct err *err)
{
	int ret;

	if (!lv) {
		*ret_found = TARGET_LV_NONE;
		log_info("%s: %s with %llu bytes", s->path, dry_run ? "would be made" : "is made",
			(unsigned long long)size);
		return dry_run ? 0 : make(s, size, err);
	}
	ret = check(s, lv, source, err);
	if (ret < 0)
		return ret;
	*ret_found = lv->size >= size ? TARGET_LV_GOOD : TARGET_LV_SMALL;
	if (lv->size >= size)
		return 0;
	log_info("%s: %s from %llu to %llu bytes", s->path, dry_run ? "would grow" : "grows",
		(unsigned long long)lv->size, (unsigned long long)size);
	return dry_run ? 0 : vg_extend(s->vg, s->lv, size, err);
}

int target_lv_prepare(const struct spec *spec, uint64_t size, const char *source, bool dry_run,
	enum target_lv_found *ret_found, struct err *err)
{
	struct vg_lvs all;
	int ret = vg_list(spec->vg, &all, err);

	if (ret < 0)
		return ret;
	ret = prepare(spec, vg_find(&all, spec->lv), size, source, dry_run, ret_found, err);
	vg_lvs_done(&all);
	return ret;
}

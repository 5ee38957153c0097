/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots made and removed; see snap_job.h. Two rules hold for all of it: what is decided on is
 * what LVM has just reported, and nothing is removed that is not tagged as ours, a snapshot, and
 * closed. LVM looks once more when it removes (vg_remove_snapshot()).
 */
#include "snap_job.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { OPEN_LOOKS = 20, OPEN_PAUSE_MS = 500, MAPPED_MAX = 127, SUFFIXES = 5 /* "-cow", "-real" */ };

/* Making. */

static int check_origin(const struct vg_lv *o, struct err *err)
{
	const char *what = NULL;

	if (*o->pool || o->kind == 't' || o->kind == 'V')
		what = "is thin; snapshots of thin volumes have no size and are made by lvcreate";
	else if (*o->origin)
		what = "is a snapshot itself";
	else if (!strchr("-omMrRC", o->kind))
		what = "is a part of LVM's own, no volume for data";
	else if (!o->is_active)
		what = "is not active here";
	if (!what)
		return 0;
	return err_set(err, EINVAL, "%s/%s: %s", o->vg, o->lv, what);
}

static size_t hyphens(const char *name)
{
	size_t n = 0;

	for (; *name; name++)
		n += *name == '-';
	return n;
}

/* LV_SUFFIX, if LVM and the device mapper can have that. */
static int make_name(const char *vg, const char *lv, const char *suffix, char out[SPEC_NAME_MAX],
	struct err *err)
{
	char name[2 * SPEC_NAME_MAX];
	size_t mapped;
	int n = snprintf(name, sizeof(name), "%s_%s", lv, suffix);

	if (n >= SPEC_NAME_MAX)
		return err_set(err, ENAMETOOLONG, "%s/%s_%.100s: longer than %d characters", vg, lv,
			suffix, SPEC_NAME_MAX - 1);
	if (!*suffix || !spec_is_lvm_name(name))
		return err_set(err, EINVAL,
			"'%.100s': no end of a volume's name (letters, digits and + _ . -)",
			suffix);
	mapped = strlen(vg) + hyphens(vg) + 1 + (size_t)n + hyphens(name) + SUFFIXES;
	if (mapped > MAPPED_MAX)
		return err_set(err, ENAMETOOLONG,
			"%s/%s: the kernel's name of it would be too long", vg, name);
	strcpy(out, name);
	return 0;
}

/* Fills RET but for the job. */
static int plan(const struct snap_request *q, const struct vg_lvs *all, struct snap_made *ret,
	struct err *err)
{
	const struct vg_lv *o = vg_find(all, q->source->lv);
	const char *suffix = q->suffix ? q->suffix
		: q->conf->snap_suffix ? q->conf->snap_suffix
				       : TOOLSCONF_SUFFIX;
	uint64_t room;
	int r;

	if (!o)
		return err_set(err, ENOENT, "%s/%s: there is no such volume", q->source->vg,
			q->source->lv);
	r = check_origin(o, err);
	if (r == 0)
		r = make_name(o->vg, o->lv, suffix, ret->lv, err);
	if (r < 0)
		return r;
	strcpy(ret->vg, o->vg);
	strcpy(ret->origin, o->lv);
	ret->origin_size = o->size;
	ret->extent = o->extent;
	ret->size = snap_size_choose(q->want, o->size, o->extent, q->conf);
	room = o->vg_free > q->conf->reserve ? o->vg_free - q->conf->reserve : 0;
	if (vg_find(all, ret->lv))
		return err_set(err, EEXIST, "%s/%s: is there already", ret->vg, ret->lv);
	if (ret->size.bytes > room)
		return err_set(err, ENOSPC, "%s: has %llu MiB for a snapshot of %llu MiB", ret->vg,
			(unsigned long long)(room >> 20),
			(unsigned long long)(ret->size.bytes >> 20));
	return 0;
}

static int make(const struct snap_request *q, struct snap_made *ret, struct err *err)
{
	struct vg_snapshot s = {.vg = ret->vg,
		.origin = ret->origin,
		.name = ret->lv,
		.size = ret->size.bytes,
		.chunk = ret->size.chunk,
		.writable = q->writable};
	struct snap_owner self;
	struct snap_tags tags;
	int r = snap_owner_self(&self, err);

	if (r == 0)
		r = snap_tags_make(&tags, &self, q->is_temporary, q->job, q->why, err);
	if (r < 0)
		return r;
	snprintf(ret->job, sizeof(ret->job), "%s", snap_tags_job(&tags));
	s.tags = tags.list;
	return q->dry_run ? 0 : vg_make_snapshot(&s, err);
}

int snap_create(const struct snap_request *q, struct snap_made *ret, struct err *err)
{
	struct snap_made made = {0};
	struct vg_lvs all;
	int r;

	/* What could not be cleaned up was logged, and is in nobody's way but by its name. */
	r = snap_clean(q->source->vg, false, q->dry_run, err);
	if (r < 0 && r != -EBUSY)
		return r;
	r = vg_list(q->source->vg, &all, err);
	if (r < 0)
		return r;
	r = plan(q, &all, &made, err);
	vg_lvs_done(&all);
	if (r == 0)
		r = make(q, &made, err);
	if (r == 0)
		*ret = made;
	return r;
}

/* Removing. */

int snap_may_remove(const struct vg_lv *lv, struct err *err)
{
	const char *what = NULL;

	if (!vg_lv_is_snapshot(lv))
		what = "is no snapshot";
	else if (!vg_lv_has_tag(lv, SNAP_TAG))
		what = "is a snapshot that these tools have not made; see its tags by lvs";
	else if (lv->is_merging)
		what = "is being merged into its origin";
	else if (lv->is_open)
		what = "is in use (mounted, exported or being copied)";
	if (!what)
		return 0;
	return err_set(err, EPERM, "%s/%s: not removed: it %s", lv->vg, lv->lv, what);
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* LVM itself does not know what a host that shares the disks has active. */
static int check_host(const struct vg_lv *lv, struct err *err)
{
	struct snap_owner self, owner;
	char text[256];
	int r;

	if (lv->is_active || !vg_lv_tag_value(lv, SNAP_TAG_OWNER, text, sizeof(text)) ||
		!snap_owner_parse(text, &owner))
		return 0;
	r = snap_owner_self(&self, err);
	if (r < 0 || strcmp(owner.host, self.host) == 0)
		return r;
	return err_set(err, EPERM,
		"%s/%s: was made by the host %s, where it may be active, and is not here; remove "
		"it there, or activate it here first",
		lv->vg, lv->lv, owner.host);
}

/* One look; *ret_open: it would be removed if it were not open. */
static int try_to_remove(
	const char *vg, const char *lv, bool dry_run, bool *ret_open, struct err *err)
{
	const struct vg_lv *found;
	struct vg_lvs all;
	int r = vg_list(vg, &all, err);

	*ret_open = false;
	if (r < 0)
		return r;
	found = vg_find(&all, lv);
	if (!found) {
		r = err_set(err, ENOENT, "%s/%s: there is no such volume", vg, lv);
	} else {
		r = snap_may_remove(found, err);
		*ret_open = r < 0 && found->is_open && vg_lv_is_snapshot(found) &&
			vg_lv_has_tag(found, SNAP_TAG) && !found->is_merging;
		if (r == 0)
			r = check_host(found, err);
		if (r == 0 && !dry_run)
			r = vg_remove_snapshot(found, SNAP_TAG, err);
	}
	vg_lvs_done(&all);
	return r;
}

int snap_remove(const char *vg, const char *lv, bool dry_run, struct err *err)
{
	bool is_open = true;
	int r = -EBUSY;

	for (int i = 0; r < 0 && is_open && i < OPEN_LOOKS; i++) {
		if (i > 0)
			pause_ms(OPEN_PAUSE_MS);
		r = try_to_remove(vg, lv, dry_run, &is_open, err);
	}
	return r;
}

/* Leftovers. */

static int clean_one(const struct vg_lv *lv, bool dry_run, const struct snap_listener *listener)
{
	struct err err = {0};
	int r = snap_may_remove(lv, &err);

	if (r == 0 && !dry_run)
		r = vg_remove_snapshot(lv, SNAP_TAG_TEMPORARY, &err);
	if (r < 0)
		log_warn("%s/%s: left by a job that is over: %s", lv->vg, lv->lv, err.text);
	else
		log_info("%s/%s: %sremoved: the job it was made for is over", lv->vg, lv->lv,
			dry_run ? "would be " : "");
	if (listener)
		listener->cleaned(listener->owner, lv, r < 0 ? err.text : NULL);
	return r;
}

int snap_clean(const char *vg, bool taken_over, bool dry_run, struct err *err)
{
	return snap_clean_told(vg, taken_over, dry_run, NULL, err);
}

int snap_clean_told(const char *vg, bool taken_over, bool dry_run,
	const struct snap_listener *listener, struct err *err)
{
	struct snap_owner self;
	struct vg_lvs all;
	size_t failed = 0;
	int r = snap_owner_self(&self, err);

	if (r == 0)
		r = vg_list(vg, &all, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < all.count; i++) {
		if (snap_tag_judge(&all.all[i], &self, taken_over, snap_owner_lives) ==
				SNAP_LEFTOVER &&
			clean_one(&all.all[i], dry_run, listener) < 0)
			failed++;
	}
	vg_lvs_done(&all);
	if (failed > 0)
		return err_set(err, EBUSY, "%s: %zu leftovers could not be removed", vg, failed);
	return 0;
}

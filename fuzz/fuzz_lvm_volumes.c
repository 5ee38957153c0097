/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel and LVM say of volumes: lines of /proc/diskstats, reports of lvs in JSON, the
 * device mapper's status and names, owners in tags. The first byte says which. LVM itself is
 * believed, but tags and names in its reports are whatever a program wrote into a volume group.
 */
#include "fuzz.h"

#include "iostat_disk.h"
#include "iostat_mapped.h"
#include "snap_tag.h"
#include "spec.h"
#include "vg_fill.h"
#include "vg_run.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 65536 };

static void check_disks(const char *text)
{
	struct iostat_disk d;

	while (*text) {
		const char *before = text;

		if (iostat_disk_parse(&text, &d)) {
			REQUIRE(*d.device && strlen(d.device) < sizeof(d.device));
			REQUIRE(!strpbrk(d.device, " \n"));
		}
		REQUIRE(text > before); /* or it would never end */
	}
}

static bool no_process(const struct snap_owner *o)
{
	return o->pid == 0;
}

static void check_volume(const struct vg_lv *lv)
{
	const struct snap_owner self = {.host = "h", .boot = "b", .pid = 1, .start = 1};
	enum snap_fate fate = snap_tag_judge(lv, &self, false, no_process);
	char value[16];

	REQUIRE(*lv->vg && *lv->lv && *lv->uuid && lv->size > 0 && lv->extent > 0);
	REQUIRE(lv->size <= INT64_MAX && lv->vg_free <= INT64_MAX);
	if (fate == SNAP_LEFTOVER)
		REQUIRE(vg_lv_is_snapshot(lv) && vg_lv_has_tag(lv, SNAP_TAG) &&
			vg_lv_has_tag(lv, SNAP_TAG_TEMPORARY));
	if (vg_lv_tag_value(lv, SNAP_TAG_JOB, value, sizeof(value)))
		REQUIRE(strlen(value) < sizeof(value) && !strchr(value, ','));
}

static void check_report(const char *text)
{
	struct vg_lvs all;
	struct err err = {0};

	if (vg_lvs_parse(text, &all, &err) < 0) {
		REQUIRE(err.code > 0 && !all.all && all.count == 0);
		return;
	}
	REQUIRE(all.count <= VG_LVS_MAX);
	for (size_t i = 0; i < all.count; i++)
		check_volume(&all.all[i]);
	vg_lvs_done(&all);
}

static void check_status(const char *text)
{
	struct vg_fill fill = {0};

	if (vg_fill_parse(text, &fill))
		REQUIRE(fill.is_bad || (fill.total > 0 && fill.total <= INT64_MAX));
}

static void check_name(const char *text)
{
	char vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX], mapped[SPEC_MAPPED_MAX];
	char name[IOSTAT_NAME_ROOM];
	bool hidden;

	iostat_mapped_name(text, "", name, &hidden);
	REQUIRE(strlen(name) < sizeof(name));
	if (!spec_split_mapped(text, vg, lv))
		return;
	spec_join_mapped(vg, lv, mapped);
	REQUIRE(strcmp(mapped, text) == 0);
}

static void check_owner(const char *text)
{
	struct snap_owner o;

	if (snap_owner_parse(text, &o))
		REQUIRE(*o.host && *o.boot && o.pid > 0 && o.start > 0);
}

static void check_complaint(const char *text)
{
	char line[64];

	vg_complaint(text, line, sizeof(line));
	REQUIRE(strlen(line) < sizeof(line) && !strchr(line, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1 || size >= ROOM)
		return 0;
	text = malloc(size); /* of its exact size, so that a sanitizer sees a step too far */
	REQUIRE(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	if (data[0] == 'd')
		check_disks(text);
	else if (data[0] == 'r')
		check_report(text);
	else if (data[0] == 's')
		check_status(text);
	else if (data[0] == 'n')
		check_name(text);
	else if (data[0] == 'o')
		check_owner(text);
	else
		check_complaint(text);
	free(text);
	return 0;
}

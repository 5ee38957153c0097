/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results for people and for programs; see snap_report.h. A JSON result is one object on one line.
 * Without --json a result is a line, and none with --quiet.
 */
#include "snap_report.h"

#include <jansson.h>
#include <stdio.h>

static void print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static json_t *describe(const struct snap_made *m, const struct snap_options *o)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:I, s:b}", "vg", m->vg, "snapshot",
		m->lv, "origin", m->origin, "job", m->job, "size", (json_int_t)m->size.bytes,
		"chunk", (json_int_t)m->size.chunk, "full", m->size.is_full, "origin_size",
		(json_int_t)m->origin_size, "dry_run", o->dry_run);
}

static void print_made(const struct snap_made *m, const struct snap_options *o)
{
	printf("%s/%s: %s, snapshot of %s, %llu MiB%s, chunks of %llu KiB\n", m->vg, m->lv,
		o->dry_run ? "would be made" : "made", m->origin,
		(unsigned long long)(m->size.bytes >> 20),
		m->size.is_full ? " (cannot overflow)" : "",
		(unsigned long long)(m->size.chunk >> 10));
}

void snap_report_made(const struct snap_made *m, const struct snap_options *o)
{
	if (o->json)
		print_json(describe(m, o));
	else if (!o->quiet)
		print_made(m, o);
}

void snap_report_removed(const char *vg, const char *lv, const struct snap_options *o)
{
	if (o->json)
		print_json(json_pack(
			"{s:s, s:s, s:b}", "vg", vg, "snapshot", lv, "dry_run", o->dry_run));
	else if (!o->quiet)
		printf("%s/%s: %s\n", vg, lv, o->dry_run ? "would be removed" : "removed");
}

void snap_leftovers_init(struct snap_leftovers *l)
{
	l->removed = json_array();
	l->failed = json_array();
}

void snap_leftovers_add(void *owner, const struct vg_lv *lv, const char *fault)
{
	struct snap_leftovers *l = owner;

	if (fault)
		json_array_append_new(
			l->failed, json_pack("{s:s, s:s}", "snapshot", lv->lv, "error", fault));
	else
		json_array_append_new(l->removed, json_string(lv->lv));
}

void snap_report_leftovers(
	struct snap_leftovers *l, const struct snap_options *o, const struct err *err)
{
	json_t *object = json_pack("{s:s, s:b, s:b, s:b, s:o, s:o}", "vg", o->leftovers,
		"taken_over", o->taken_over, "dry_run", o->dry_run, "success", err->code == 0,
		"removed", l->removed, "failed", l->failed);

	if (object && err->code)
		json_object_set_new(object, "error", json_string(err->text));
	if (o->json && object)
		print_json(object);
	else
		json_decref(object);
}

void snap_report_copy(const struct snap_report *r, const struct snap_options *o)
{
	json_t *object, *target; /* a name on a disk need not be UTF-8 */

	if (o->json) {
		object = describe(&r->made, o);
		target = json_string(o->target);
		json_object_set_new(object, "target", target ? target : json_null());
		json_object_set_new(object, "peak", json_integer((json_int_t)r->peak));
		json_object_set_new(object, "extended", json_integer(r->extended));
		json_object_set_new(object, "overflowed", json_boolean(r->overflowed));
		json_object_set_new(object, "copy_status", json_integer(r->copy_status));
		json_object_set_new(object, "removed", json_boolean(r->removed));
		json_object_set_new(object, "good", json_boolean(r->is_good));
		print_json(object);
		return;
	}
	if (o->quiet)
		return;
	if (o->dry_run)
		print_made(&r->made, o);
	else
		printf("%s/%s: %s %s, of its snapshot %llu KiB were in use, extended %u times\n",
			r->made.vg, r->made.origin, r->is_good ? "copied to" : "NOT copied to",
			o->target, (unsigned long long)(r->peak >> 10), r->extended);
}

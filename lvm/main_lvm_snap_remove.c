/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_snap_remove: removes one snapshot, or what jobs that are over have left. */
#include "log.h"
#include "snap_job.h"
#include "snap_main.h"
#include "snap_report.h"

#include <stdlib.h>

static int clean(const struct snap_options *o, struct err *err)
{
	struct snap_leftovers found;
	int r;

	snap_leftovers_init(&found);
	r = snap_clean_told(o->leftovers, o->taken_over, o->dry_run,
		&(struct snap_listener){snap_leftovers_add, &found}, err);
	snap_report_leftovers(&found, o, err);
	return r;
}

static int remove_one(const struct snap_options *o, struct err *err)
{
	int r = snap_remove(o->source.vg, o->source.lv, o->dry_run, err);

	if (r == 0)
		snap_report_removed(o->source.vg, o->source.lv, o);
	return r;
}

static int remove_these(const struct snap_options *o, const struct toolsconf *conf)
{
	struct err err = {0};

	(void)conf;
	if ((o->leftovers ? clean(o, &err) : remove_one(o, &err)) == 0)
		return EXIT_SUCCESS;
	log_error("%s", err.text);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	return snap_main("lvm_snap_remove", &snap_remove_set, remove_these, argc, argv);
}

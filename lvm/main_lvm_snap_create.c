/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_snap_create: makes a snapshot of a logical volume that stays until it is removed. */
#include "log.h"
#include "snap_job.h"
#include "snap_main.h"
#include "snap_report.h"

#include <stdlib.h>

static int create(const struct snap_options *o, const struct toolsconf *conf)
{
	struct snap_request q = {.source = &o->source,
		.suffix = o->suffix,
		.want = &o->want,
		.conf = conf,
		.job = o->job,
		.why = o->why,
		.writable = !o->read_only,
		.dry_run = o->dry_run};
	struct snap_made made;
	struct err err = {0};

	if (snap_create(&q, &made, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILURE;
	}
	snap_report_made(&made, o);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	return snap_main("lvm_snap_create", &snap_create_set, create, argc, argv);
}

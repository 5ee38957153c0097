/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of lvm_copy. */
#ifndef LVM_COPY_OPTIONS_H
#define LVM_COPY_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

struct copy_options {
	const char *source, *target, *verify, *manifest, *config, *ssh_config, *far_program,
		*prefix;
	uint64_t level, chunk, threads;
	uint64_t min_rate, max_rate; /* MB/s; UINT64_MAX = not given */
	uint64_t idle;               /* s; the same */
	bool gzip, zstd, prepare, incremental, trust, resume, restore, stable, abort_slow, json,
		dry_run, quiet, serve, read_only, help, version;
	bool readback; /* of --verify=readback */
};

extern const struct opt_set copy_options_set;

/* Fills O. -EINVAL with a line for the user: usage. */
int copy_options_parse(struct copy_options *o, int argc, char **argv, struct err *err);

#endif

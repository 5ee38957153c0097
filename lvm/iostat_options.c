/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of lvm_iostat; see iostat_options.h. The letters -r -d -n -h are those it always
 * had. On a terminal -r goes on until it is ended; elsewhere, as below watch(1), it is one table.
 */
#include "iostat_options.h"

#include "iostat_exports.h"
#include "iostat_sample.h"
#include "util.h"

#include <errno.h>

#define FIELD(name) offsetof(struct iostat_options, name)

enum { INTERVAL_MAX = 3600, LOOKS_MAX = 1000000000 };

static const struct opt rows[] = {
	{"realtime", 'r', OPT_SET, FIELD(mode), NULL, IOSTAT_LIVE, 0,
		"a table with rates, again and again on a terminal (default)"},
	{"dump", 'd', OPT_SET, FIELD(mode), NULL, IOSTAT_DUMP, 0,
		"counts, a line for each name, for rrdtool"},
	{"name", 'n', OPT_TEXT, FIELD(name), "REGEX", 0, 0,
		"devices or volumes whose name matches (default: disks, dm-)"},
	{"all", 'a', OPT_FLAG, FIELD(all), NULL, 0, 0,
		"partitions and hidden parts of volumes, too"},
	{"exports", 'x', OPT_FLAG, FIELD(exports), NULL, 0, 0,
		"exports of xnbd-wrapper and their clients, too"},
	{"socket", 's', OPT_TEXT, FIELD(control), "PATH", 0, 0,
		"its control socket (default " IOSTAT_CONTROL_DEFAULT ")"},
	{"interval", 'i', OPT_NUMBER, FIELD(interval), "SECONDS", 1, INTERVAL_MAX,
		"time between two looks (default 1)"},
	{"count", 'c', OPT_NUMBER, FIELD(looks), "NUMBER", 1, LOOKS_MAX,
		"so many tables, then end"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show each look in JSON, on a line"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set iostat_option_set = {
	.usage = "lvm_iostat [-r|-d] [-n REGEX] [OPTION ...]",
	.about =
		"Shows what logical volumes and disks read and write, under the names people know.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

int iostat_options_parse(
	struct iostat_options *o, int argc, char **argv, bool on_screen, struct err *err)
{
	int rest, r;

	*o = (struct iostat_options){.control = IOSTAT_CONTROL_DEFAULT, .interval = 1};
	r = opt_parse(&iostat_option_set, argc, argv, o, &rest, err);
	if (r < 0)
		return r;
	if (rest < argc && !o->help && !o->version)
		return err_set(err, EINVAL, "'%.100s': one argument too many (a name needs -n)",
			argv[rest]);
	if (o->mode == IOSTAT_DUMP && o->json)
		return err_set(err, EINVAL, "--dump and --json exclude each other");
	if (!o->mode)
		o->mode = IOSTAT_LIVE;
	if (o->looks == 0 && (!on_screen || o->mode == IOSTAT_DUMP))
		o->looks = 1;
	return 0;
}

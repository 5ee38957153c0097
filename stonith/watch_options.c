/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Few: everything else is in the configuration, which the command reads as well. */
#include "watch_options.h"

#include "config.h"
#include "util.h"

#include <errno.h>

#define FIELD(name) offsetof(struct watch_options, name)

static const struct opt rows[] = {
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE instead of " CONFIG_DEFAULT},
	{"foreground", 'f', OPT_FLAG, FIELD(foreground), NULL, 0, 0,
		"stay in the foreground, log to stderr"},
	{"check", 0, OPT_FLAG, FIELD(check), NULL, 0, 0,
		"check the configuration, show faults and warnings, end"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set watch_options_set = {
	.usage = "xnbd-stonithd [OPTION ...]",
	.about = "Looks at all PDUs and outlets again and again, so that what would stand in the "
		 "way of a shot is known before.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

int watch_options_parse(struct watch_options *o, int argc, char **argv, struct err *err)
{
	int rest;

	*o = (struct watch_options){.config = CONFIG_DEFAULT};
	if (opt_parse(&watch_options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (rest < argc)
		return err_set(err, EINVAL, "'%.60s': takes no arguments", argv[rest]);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the wrapper runs with: the command line over the configuration file over defaults.
 *
 * Options of the command line replace keys of the section wrapper. For lists as a whole: --laddr,
 * --lport and --lsocket replace `listen`, and --logpath, --syslog and --journal replace `log`.
 */
#ifndef WRAPPER_SETTINGS_H
#define WRAPPER_SETTINGS_H

#include "config.h"
#include "options.h"

struct settings {
	struct wrapper_options options; /* complete; texts are those of ARGV and of `config` */
	struct config config;           /* of the file, empty without --config */
	char *control, *run_folder;     /* derived ones */
	int argc;                       /* what it was read from */
	char **argv;
};

/*
 * *RET_REST: as of opt_parse(). 0; -EINVAL with a line about the command line; or -EBADMSG if the
 * configuration has faults, which are in FAULTS; the options are then those of the command line.
 * RET is to be given to settings_done() and FAULTS to conf_done() in any case.
 */
int settings_read(int argc, char **argv, struct settings *ret, int *ret_rest, struct conf *faults,
	struct err *err);
/*
 * Reads the configuration file of BEFORE anew. What cannot change before the next start is as it
 * was there, and its texts are those of BEFORE. 0, or -EBADMSG and FAULTS.
 */
int settings_reread(
	const struct settings *before, struct settings *ret, struct conf *faults, struct err *err);
void settings_done(struct settings *s);

/* Paths of options, as they are from the root on. For the rest of the process. */
void settings_settle_paths(struct wrapper_options *o);

/* All that is in effect as one configuration, with --imgfile; config_free() it. 0 or -errno. */
int settings_effective(const struct settings *s, struct config *ret, struct err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations of tests, in a folder of their own; '@' in a text is that folder. */
#ifndef TESTS_LIB_CONFSYNC_CONFKIT_H
#define TESTS_LIB_CONFSYNC_CONFKIT_H

#include "config.h"
#include "temp.h"

struct confkit {
	struct temp temp;
	struct conf files;
	struct config config;
	char faults[16384]; /* a line each; the folder is FOLDER, or left out in front */
};

#define CONFKIT_KEY                                                                                \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM"
/* This host is "a"; its state directory is FOLDER/state. */
#define CONFKIT_PAIR                                                                               \
	"node 'a' { address = '192.0.2.1' host-key = '" CONFKIT_KEY "' }\n"                        \
	"node 'b' { address = '192.0.2.2' host-key = '" CONFKIT_KEY "' }\n"
#define CONFKIT_GENERAL "confsync { self = 'a' state-directory = '@/state' }\n"

void confkit_init(struct confkit *k);
void confkit_done(struct confkit *k);

/* The file confsync.conf with TEXT, read: what config_read() returns; what was read before is given
 * back. */
int confkit_read(struct confkit *k, const char *text);

/* The one of a test program: set-up and tear-down for cmocka, and a TEXT that has no faults. */
extern struct confkit kit;
int kit_set_up(void **state);
int kit_tear_down(void **state);
void kit_good(const char *text);

#endif

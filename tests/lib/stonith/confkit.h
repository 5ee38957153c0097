/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations of tests, in a folder with files for secrets; '@' in a text is that folder. */
#ifndef TESTS_LIB_STONITH_CONFKIT_H
#define TESTS_LIB_STONITH_CONFKIT_H

#include "config.h"
#include "temp.h"

struct confkit {
	struct temp temp;
	struct conf files;
	struct config config;
	char faults[8192]; /* a line each; the folder is FOLDER, or left out in front */
};

/* With community, auth, priv, hmac (each one line) and key, all of mode 0600. */
void confkit_init(struct confkit *k);
void confkit_done(struct confkit *k);

/* What config_read() returns; what was read before is given back. */
int confkit_read(struct confkit *k, const char *text);
/* The same of config_warn(), into FAULTS. */
void confkit_warn(struct confkit *k);

/* The file NAME with this content and mode; its path. */
const char *confkit_file(struct confkit *k, const char *name, const char *content, unsigned mode);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A state directory of a test's own: sm, sm.bak, state; and the log lines that work on it causes.
 */
#ifndef TESTS_LIB_STATEDIR_H
#define TESTS_LIB_STATEDIR_H

#include "temp.h"

#include <stdbool.h>
#include <stddef.h>

/* A record line, without the newline: the address, program, ... and COOKIE32 are given. */
#define STATEDIR_COOKIE        "00112233445566778899aabbccddeeff"
#define STATEDIR_LINE(mon, my) "0100007f 000186b5 00000003 00000010 " STATEDIR_COOKIE " " mon " " my

struct statedir {
	struct temp temp;
	char path[1024];      /* what statedir_path() made last */
	char text[64 * 1024]; /* what statedir_text() read */
	unsigned lines;       /* logged so far, debug and info not counted */
	char log[4096];       /* the last of them, each with a newline; cut at the end */
};

/* Makes folders and takes over the log. One at a time. */
void statedir_init(struct statedir *s);
void statedir_done(struct statedir *s);

/* NAME: "sm/peer". Valid until the next call of any function here. */
const char *statedir_path(struct statedir *s, const char *name);
void statedir_put(struct statedir *s, const char *name, const char *content);
void statedir_put_bytes(struct statedir *s, const char *name, const void *bytes, size_t len);
/* Seconds since 1970. */
void statedir_age(struct statedir *s, const char *name, long mtime);

bool statedir_has(struct statedir *s, const char *name);
/* Content, "" if it is not there. */
const char *statedir_text(struct statedir *s, const char *name);
/* Names in the folder, sorted, a blank between; hidden ones too. */
const char *statedir_names(struct statedir *s, const char *folder);

void statedir_forget_log(struct statedir *s);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One wrapper a state file: a lock on a file beside it, PATH.lock, since PATH itself is another
 * file after each save. The kernel releases it with the process, so it is never stale, though the
 * file stays; it has the pid of the last owner in it.
 */
#ifndef WRAPPER_CLAIM_H
#define WRAPPER_CLAIM_H

#include "err.h"

/*
 * The descriptor that holds it, to be closed at the end. -EBUSY with a line: another one has it. -1
 * and no error: the file cannot be made, and so PATH could not be written either.
 */
int claim_file(const char *path, struct err *err);

#endif

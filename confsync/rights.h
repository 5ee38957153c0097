/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rights that come with a file and that nobody sees in its content; no part of a set. */
#ifndef CONFSYNC_RIGHTS_H
#define CONFSYNC_RIGHTS_H

#include "config.h"
#include "manifest.h"

/* What E has of them against the rules of S: "has capabilities, ..."; NULL = nothing. Asked by a
 * scan, where it is a fault, and by who receives E, who refuses it. */
const char *rights_fault(const struct config_set *s, const struct entry *e);

#endif

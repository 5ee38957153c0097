/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between handover*.c only. */
#ifndef WRAPPER_HANDOVER_INNER_H
#define WRAPPER_HANDOVER_INNER_H

#include "handover.h"

/* Are all descriptors of DOC to be there after an exec? */
void handover_inherit(const json_t *doc, bool yes);
/* The document for the next program, named in the environment. Its descriptor, or -errno. */
int handover_write(const json_t *doc);
void handover_enter_folder(const char *folder);

/* handover_exports.c: E as a row of the document, and back into E as it has been read now. */
json_t *handover_export(const struct master *m, const struct export_entry *e);
void handover_export_restore(struct export_entry *e, const json_t *row);

#endif

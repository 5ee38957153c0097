/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between negotiate.c and neg_option.c only: replies, and the handlers of complete options. */
#ifndef LIB_NEG_OPTION_H
#define LIB_NEG_OPTION_H

#include "negotiate.h"

/* Handles the complete option n->option with its n->payload bytes at P. */
void neg_option(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out);

bool neg_option_is_known(uint32_t option);

void neg_reply(struct neg *n, uint32_t type, const void *data, size_t len, struct buf *out);
void neg_reply_text(struct neg *n, uint32_t type, const char *text, struct buf *out);
void neg_close(struct neg *n, const char *reason);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random clients: the bytes of a whole handshake, valid, half valid (right frames with wrong
 * insides, wrong lengths, bits turned over) or plain garbage.
 */
#ifndef TESTS_LIB_GARBLE_H
#define TESTS_LIB_GARBLE_H

#include "buf.h"
#include "rnd.h"

enum garble_kind { GARBLE_VALID, GARBLE_HALF, GARBLE_NOISE, GARBLE_KINDS };

void garble_session(struct rnd *rnd, enum garble_kind kind, struct buf *out);

#endif

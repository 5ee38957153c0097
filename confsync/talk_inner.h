/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between talk.c (messages) and talk_link.c (bytes and frames over SSH or two descriptors). */
#ifndef CONFSYNC_TALK_INNER_H
#define CONFSYNC_TALK_INNER_H

#include "buf.h"
#include "ssh.h"
#include "talk.h"

struct talk {
	char peer[GENERATION_NAME_MAX]; /* who it is, for messages */
	struct ssh ssh;
	struct ssh_target target;
	char *key;
	bool over_ssh, dead, initiator;
	int in, out;
	uint64_t until; /* ms, of clock_ms() */
	uint64_t sent, received;
};

/* A whole frame whose first WIRE_HEADER bytes are left to us. LEN: of the body. */
int talk_put_frame(
	struct talk *t, enum wire_kind kind, uint8_t *frame, size_t len, struct err *err);
/* The next one must be of KIND, with a body of at most MAX bytes, which follows. */
int talk_get_header(
	struct talk *t, enum wire_kind kind, size_t max, uint32_t *len, struct err *err);
/* Exactly LEN bytes. */
int talk_get(struct talk *t, void *bytes, size_t len, struct err *err);
/* Nothing more can be said. Returns -CODE. */
int talk_fail(struct talk *t, int code, const char *why, struct err *err);

#endif

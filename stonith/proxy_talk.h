/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that talks to a stonith proxy (proxy_client.h is who starts it), and what it tells
 * its parent: messages over a SOCK_SEQPACKET pair, one struct each.
 */
#ifndef STONITH_PROXY_TALK_H
#define STONITH_PROXY_TALK_H

#include "proxy_wire.h"
#include "shoot.h"

#include <stdint.h>

enum { PROXY_TALK_TEXT_MAX = 512 };

enum proxy_talk_kind {
	PROXY_TALK_PHASE, /* text: what it is at */
	PROXY_TALK_NOTE,  /* text: from the proxy */
	PROXY_TALK_RESULT,
};

struct proxy_talk_result {
	int code; /* 0: answer is there, proven; -errno: text says why not */
	char text[PROXY_TALK_TEXT_MAX];
	struct proxy_wire_answer answer;
};

struct proxy_talk_message {
	enum proxy_talk_kind kind;
	char text[PROXY_TALK_TEXT_MAX];
	struct proxy_talk_result result;
};

/* After fork(): does all of it and ends the process. UNTIL: of clock_ms(). */
_Noreturn void proxy_talk_child(const struct shoot_order *o, uint64_t until, int fd);

#endif

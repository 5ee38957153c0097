/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a peer may say: frames, and messages in those of kind TEXT. What is taken keeps all limits
 * and comes back when it is said again. The input is also taken as the body of one frame.
 */
#include "fuzz.h"

#include "message.h"
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void require_name(const char *name)
{
	REQUIRE(!*name || generation_name_ok(name));
}

static void check_limits(const struct message *m)
{
	require_name(m->node);
	require_name(m->set);
	REQUIRE(!*m->transaction || generation_id_ok(m->transaction));
	REQUIRE(strnlen(m->text, MESSAGE_TEXT_MAX) < MESSAGE_TEXT_MAX);
	REQUIRE(!m->hashes || m->count <= MESSAGE_HASHES_MAX);
	for (size_t i = 0; i < 2; i++) {
		require_name(m->vector.at[i].node);
		require_name(m->side.vector.at[i].node);
	}
	REQUIRE(m->result <= MESSAGE_RESULT_ABORT && message_name(m->kind));
	for (const char *p = m->text; *p; p++)
		REQUIRE((unsigned char)*p >= ' ' && *p != 0x7f);
}

/* Said, understood and said again it is the same. */
static void check_again(const struct message *m)
{
	char *text = message_print(m), *again;
	struct message back;

	REQUIRE(text && strlen(text) <= WIRE_TEXT_MAX && !strchr(text, '\n'));
	REQUIRE(message_parse(text, strlen(text), &back, NULL) == 0);
	again = message_print(&back);
	REQUIRE(again && strcmp(text, again) == 0);
	message_done(&back);
	free(text);
	free(again);
}

static void check_message(const char *text, size_t len)
{
	struct message m;
	struct err err = {0};
	int r = message_parse(text, len, &m, &err);

	REQUIRE(r == 0 || ((r == -EPROTO || r == -EOPNOTSUPP) && *err.text));
	if (r < 0)
		return;
	check_limits(&m);
	check_again(&m);
	message_done(&m);
}

/* In memory of its own, so that a sanitizer sees what is read too many. */
static void check_body(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len ? len : 1);

	REQUIRE(text);
	if (len)
		memcpy(text, bytes, len);
	check_message(text, len);
	free(text);
}

static size_t limit(enum wire_kind kind)
{
	if (kind == WIRE_TEXT)
		return WIRE_TEXT_MAX;
	return kind == WIRE_DATA ? WIRE_DATA_MAX : WIRE_GENERATION_MAX;
}

static void check_frames(const uint8_t *data, size_t size)
{
	while (size >= WIRE_HEADER) {
		uint8_t again[WIRE_HEADER];
		enum wire_kind kind;
		uint32_t len;

		if (wire_parse(data, &kind, &len) < 0)
			break;
		REQUIRE(len > 0 && len <= limit(kind));
		wire_header(kind, len, again);
		REQUIRE(memcmp(again, data, WIRE_HEADER) == 0);
		data += WIRE_HEADER;
		size -= WIRE_HEADER;
		if (len > size)
			break;
		if (kind == WIRE_TEXT)
			check_body(data, len);
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_frames(data, size);
	check_body(data, size);
	return 0;
}

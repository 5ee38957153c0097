/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lvm_copy is given by others: names of sources and targets, manifests, messages of another
 * host, compressed chunks. The first byte says which. What is accepted is within its limits, and
 * the same when it was written and read once more.
 */
#include "fuzz.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 65536 };

static void check_spec(const uint8_t *data, size_t size)
{
	char text[ROOM], again[SPEC_TEXT_MAX];
	struct spec s, t;
	struct err err;

	memcpy(text, data, size);
	text[size] = 0;
	if (spec_parse(&s, text, &err) < 0)
		return;
	REQUIRE(s.host[0] != '-' && s.path[0]);
	REQUIRE(s.kind != SPEC_LVM || (spec_is_lvm_name(s.vg) && spec_is_lvm_name(s.lv)));
	spec_print(&s, false, again);
	REQUIRE(spec_parse(&t, again, &err) == 0 && memcmp(&s, &t, sizeof(s)) == 0);
}

/* With a right hash, or nothing random would ever get past it. */
static void check_head(uint8_t *data, size_t size)
{
	struct manifest_head h, again;
	struct buf b;
	size_t used, len;

	if (size < 12)
		return;
	len = get_u32(data + 8);
	if (len > CODEC_HASH && len <= size)
		codec_hash(data, len - CODEC_HASH, data + len - CODEC_HASH);
	if (manifest_get_head(data, size, &h, &used) < 0)
		return;
	REQUIRE(used <= size && manifest_chunks(&h) <= MANIFEST_CHUNKS_MAX);
	REQUIRE(manifest_chunk_len(&h, manifest_chunks(&h)) == 0);
	buf_init(&b, ROOM);
	manifest_put_head(&b, &h);
	REQUIRE(manifest_get_head(buf_bytes(&b), buf_len(&b), &again, &used) == 0);
	REQUIRE(manifest_head_equal(&h, &again) && strcmp(h.source, again.source) == 0);
	buf_done(&b);
}

static void check_messages(const uint8_t *data, size_t size)
{
	static struct target_result result;
	static struct wire_open o;
	struct wire_piece p;
	struct manifest_entry e;
	struct err err;

	if (wire_get_piece(data, size, &p) == 0)
		REQUIRE(p.len <= MANIFEST_CHUNK_MAX && p.bytes_len + WIRE_PIECE == size);
	if (wire_get_open(data, size, false, &o) == 0)
		REQUIRE(strlen(o.spec) < sizeof(o.spec));
	if (wire_get_open(data, size, true, &o) == 0)
		REQUIRE(strlen(o.spec) < sizeof(o.spec) && strlen(o.source) < sizeof(o.source));
	if (wire_get_result(data, size, &result) == 0)
		REQUIRE(strlen(result.manifest) < PATH_MAX);
	wire_get_error(data, size, &err);
	REQUIRE(err.code > 0 && !strchr(err.text, '\n') && strlen(err.text) < sizeof(err.text));
	if (size >= MANIFEST_ENTRY && manifest_get_entry(data, MANIFEST_CHUNK_MIN, &e) == 0)
		REQUIRE(e.stored <= 2 * MANIFEST_CHUNK_MIN);
}

static void check_codec(const uint8_t *data, size_t size)
{
	static uint8_t out[ROOM];

	for (int kind = CODEC_NONE; kind < CODEC_KINDS; kind++) {
		codec_unpack((enum codec_kind)kind, data, size, out, sizeof(out));
		codec_unpack((enum codec_kind)kind, data, size, out, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1 || size >= ROOM)
		return 0;
	copy = malloc(size); /* of its exact size, so that a sanitizer sees a step too far */
	REQUIRE(copy);
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 's')
		check_spec(copy, size - 1);
	else if (data[0] == 'h')
		check_head(copy, size - 1);
	else if (data[0] == 'm')
		check_messages(copy, size - 1);
	else
		check_codec(copy, size - 1);
	free(copy);
	return 0;
}

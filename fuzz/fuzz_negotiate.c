/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake. The first byte of the input chooses the world (default export or not, shutting
 * down, lookups refused) and how the rest is cut; the same bytes are also fed whole, and both
 * runs must agree. Replies must be frames, memory must stay bounded.
 */
#include "fuzz.h"

#include "negotiate.h"
#include "util.h"

#include <string.h>

enum { WORLD_DEFAULT = 1, WORLD_DOWN = 2, WORLD_REFUSE = 4, CUT_SHIFT = 3, OUT_MAX = 1 << 22 };

struct run {
	struct neg neg;
	struct buf out;
	size_t used;
};

static const struct neg_item items[] = {{"disk", "a disk"}, {"other", NULL}};
static const struct export_facts facts = {1 << 30, 0xd6d, 1, 4096, 64 << 20};

static uint32_t find(void *ctx, const void *who, const char *name, size_t len)
{
	const uint8_t *world = ctx;

	(void)who;
	if (len == 0)
		return *world & WORLD_DEFAULT ? 1 : NEG_NO_EXPORT;
	for (uint32_t i = 0; i < ARRAY_LEN(items); i++) {
		if (len == strlen(items[i].name) && memcmp(name, items[i].name, len) == 0)
			return i + 1;
	}
	return NEG_NO_EXPORT;
}

static bool at(void *ctx, const void *who, size_t index, struct neg_item *ret)
{
	(void)ctx;
	(void)who;
	if (index < ARRAY_LEN(items))
		*ret = items[index];
	return index < ARRAY_LEN(items);
}

static bool by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	REQUIRE(id >= 1 && id <= ARRAY_LEN(items));
	return at(ctx, NULL, id - 1, ret);
}

static void feed(struct run *r, const struct neg_env *env, const uint8_t *p, size_t len)
{
	size_t want = neg_want(&r->neg), used = neg_feed(&r->neg, env, p, len, &r->out);

	REQUIRE(used > 0 && used <= len);
	REQUIRE(len > want || used == len);
	REQUIRE(r->neg.in.room <= NEG_PAYLOAD_MAX);
	r->used += used;
}

static void run(struct run *r, const struct neg_env *env, const uint8_t *p, size_t len, size_t cut)
{
	neg_init(&r->neg);
	buf_init(&r->out, OUT_MAX);
	r->used = 0;
	neg_start(&r->neg, &r->out);
	while (r->neg.verdict == NEG_LOOKUP || (r->neg.verdict == NEG_MORE && r->used < len)) {
		if (r->neg.verdict == NEG_MORE)
			feed(r, env, p + r->used, MIN_OF(len - r->used, cut));
		else if (*(uint8_t *)env->ctx & WORLD_REFUSE)
			neg_refuse(&r->neg, NBD_REP_ERR_POLICY, "no", &r->out);
		else
			neg_answer(&r->neg, env, &facts, &r->out);
	}
}

static void done(struct run *r)
{
	neg_done(&r->neg);
	buf_done(&r->out);
}

/* Greeting, then frames; only an answer to EXPORT_NAME, at the very end, has none. */
static void check_replies(const struct run *r)
{
	const uint8_t *p = buf_bytes(&r->out) + NBD_GREETING_BYTES;
	size_t len = buf_len(&r->out) - NBD_GREETING_BYTES;

	if (buf_failed(&r->out))
		return;
	while (len >= 20 && get_u64(p) == NBD_MAGIC_OPTION_REPLY) {
		size_t data = get_u32(p + 16);

		REQUIRE(data <= len - 20);
		REQUIRE(get_u32(p + 12) != NBD_REP_ACK || data == 0);
		REQUIRE(get_u32(p + 12) < 0x80000000u || data > 0);
		p += 20 + data;
		len -= 20 + data;
	}
	REQUIRE(len == 0 ||
		(r->neg.verdict == NEG_GO && r->neg.option == NBD_OPT_EXPORT_NAME &&
			len == (r->neg.no_zeroes ? 10 : 134)));
}

static void check_equal(const struct run *a, const struct run *b)
{
	REQUIRE(a->used == b->used && a->neg.verdict == b->neg.verdict);
	REQUIRE(buf_len(&a->out) == buf_len(&b->out));
	REQUIRE(memcmp(buf_bytes(&a->out), buf_bytes(&b->out), buf_len(&a->out)) == 0);
	if (a->neg.verdict != NEG_GO)
		return;
	REQUIRE(a->neg.lookup_id == b->neg.lookup_id && a->neg.lookup_id != NEG_NO_EXPORT);
	REQUIRE(memcmp(&a->neg.features, &b->neg.features, sizeof(a->neg.features)) == 0);
	REQUIRE(a->neg.features.structured ||
		!(a->neg.features.extended || a->neg.features.allocation));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t world = size ? data[0] : 0;
	struct neg_env env = {&world, world & WORLD_DOWN, find, at, by_id};
	struct run whole, cut;

	if (size == 0)
		return 0;
	run(&whole, &env, data + 1, size - 1, SIZE_MAX);
	run(&cut, &env, data + 1, size - 1, 1 + (world >> CUT_SHIFT));
	check_replies(&whole);
	check_equal(&whole, &cut);
	done(&whole);
	done(&cut);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver around negotiate.h that tests use; see session.h. Each piece of input is copied to
 * memory of exactly its size, so that a sanitizer sees every byte read too many.
 */
#include "session.h"

#include "check.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { OUT_MAX = 64 * 1024 * 1024, PIECE_MAX = 40 };

static const struct neg_item fixed[] = {
	{"disk", "a disk \xe2\x80\x94 with words"}, {"ro", NULL}, {"gone", "of a lost disk"}};

static const struct export_facts facts_disk = {SESSION_SIZE, 0xd6d, 1, 4096, 64 * 1024 * 1024};
static const struct export_facts facts_ro = {512, 0x3, 512, 4096, 1024 * 1024};

const struct export_facts *session_facts(uint32_t id)
{
	return id == SESSION_ID_RO ? &facts_ro : &facts_disk;
}

static bool many_item(size_t index, struct neg_item *ret)
{
	static char name[24];

	snprintf(name, sizeof(name), "e%zu", index);
	*ret = (struct neg_item){name, NULL};
	return true;
}

static bool at(void *ctx, const void *who, size_t index, struct neg_item *ret)
{
	const struct session_world *world = ctx;
	size_t first = world->nothing ? 0 : ARRAY_LEN(fixed);

	(void)who;
	if (index < first)
		*ret = fixed[index];
	return index < first || (index - first < world->many && many_item(index - first, ret));
}

static bool by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	(void)ctx;
	if (id >= SESSION_ID_MANY)
		return many_item(id - SESSION_ID_MANY, ret);
	*ret = fixed[id - 1];
	return true;
}

static bool is_called(const struct neg_item *item, const char *name, size_t len)
{
	return strlen(item->name) == len && memcmp(item->name, name, len) == 0;
}

static uint32_t find(void *ctx, const void *who, const char *name, size_t len)
{
	const struct session_world *world = ctx;
	struct neg_item item;

	if (len == 0)
		return world->no_default || world->nothing ? NEG_NO_EXPORT : SESSION_ID_DISK;
	for (size_t i = 0; at(ctx, who, i, &item); i++) {
		size_t first = world->nothing ? 0 : ARRAY_LEN(fixed);

		if (is_called(&item, name, len))
			return (uint32_t)(i < first ? i + 1 : SESSION_ID_MANY + i - first);
	}
	return NEG_NO_EXPORT;
}

struct neg_env session_env(const struct session_world *world)
{
	return (struct neg_env){.ctx = (void *)(uintptr_t)world,
		.shutting_down = world->shutting_down,
		.find = find,
		.at = at,
		.by_id = by_id};
}

static size_t piece_bytes(enum session_cut cut, size_t left, size_t want, struct rnd *rnd)
{
	switch (cut) {
	case SESSION_BYTES:
		return 1;
	case SESSION_RANDOM:
		return MIN_OF(
			left, (size_t)rnd_below(rnd, rnd_once_in(rnd, 8) ? left : PIECE_MAX) + 1);
	case SESSION_WANT:
		return MIN_OF(left, want);
	default:
		return left;
	}
}

static size_t feed(
	struct session *s, struct neg *n, const struct neg_env *env, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len);
	size_t want = neg_want(n), used;

	CHECK(copy && want > 0);
	memcpy(copy, p, len);
	used = neg_feed(n, env, copy, len, &s->out);
	free(copy);
	CHECK(used > 0 && used <= len && (len > want || used == len));
	s->most_memory = MAX_OF(s->most_memory, n->in.room);
	return used;
}

static void look_up(struct session *s, struct neg *n, const struct neg_env *env)
{
	CHECK(neg_want(n) == 0);
	if (n->lookup_id == SESSION_ID_GONE)
		neg_refuse(n, NBD_REP_ERR_POLICY, "the disk is lost", &s->out);
	else
		neg_answer(n, env, session_facts(n->lookup_id), &s->out);
}

static void greet(struct session *s, struct neg *n)
{
	neg_init(n);
	neg_start(n, &s->out);
	CHECK(buf_len(&s->out) == NBD_GREETING_BYTES);
	buf_take(&s->out, NBD_GREETING_BYTES);
}

void session_run(struct session *s, const struct session_world *world, const uint8_t *in,
	size_t len, enum session_cut cut, struct rnd *rnd)
{
	struct neg_env env = session_env(world);
	struct neg n;

	memset(s, 0, sizeof(*s));
	buf_init(&s->out, OUT_MAX);
	greet(s, &n);
	while (n.verdict == NEG_LOOKUP || (n.verdict == NEG_MORE && s->used < len)) {
		size_t left = len - s->used;

		if (n.verdict == NEG_LOOKUP)
			look_up(s, &n, &env);
		else
			s->used += feed(s, &n, &env, in + s->used,
				piece_bytes(cut, left, neg_want(&n), rnd));
	}
	s->verdict = n.verdict;
	s->features = n.features;
	s->id = n.lookup_id;
	s->orderly = !n.reason;
	neg_done(&n);
}

void session_done(struct session *s)
{
	buf_done(&s->out);
}

bool session_equal(const struct session *a, const struct session *b)
{
	if (a->verdict != b->verdict || a->used != b->used || a->orderly != b->orderly ||
		buf_len(&a->out) != buf_len(&b->out))
		return false;
	if (a->verdict == NEG_GO &&
		(a->id != b->id || memcmp(&a->features, &b->features, sizeof(a->features)) != 0))
		return false;
	return buf_len(&a->out) == 0 ||
		memcmp(buf_bytes(&a->out), buf_bytes(&b->out), buf_len(&a->out)) == 0;
}

void session_end_text(const struct session *s, size_t len, char *out, size_t room)
{
	char features[FEATURE_TEXT_MAX], left[32] = "";

	if (s->verdict != NEG_GO) {
		snprintf(out, room, "%s",
			s->verdict == NEG_MORE ? "MORE"
				: s->orderly   ? "CLOSE"
					       : "CLOSE!");
		return;
	}
	if (s->used < len)
		snprintf(left, sizeof(left), ", %zu left", len - s->used);
	feature_format(&s->features, features);
	snprintf(out, room, "GO %u %s%s", s->id, features, left);
}

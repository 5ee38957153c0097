/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Framing and session rules of the handshake. What each option means is in neg_option.c.
 *
 * Invariants: in NEG_SKIP `in` is empty; NEG_WAIT (a lookup is pending) takes no bytes; after
 * NEG_GO or NEG_CLOSE nothing is taken any more.
 */
#include "negotiate.h"

#include "neg_option.h"
#include "util.h"

#include <string.h>

void neg_init(struct neg *n)
{
	memset(n, 0, sizeof(*n));
	buf_init(&n->in, NEG_PAYLOAD_MAX);
}

void neg_done(struct neg *n)
{
	buf_done(&n->in);
}

void neg_start(struct neg *n, struct buf *out)
{
	n->state = NEG_FLAGS;
	n->verdict = NEG_MORE;
	buf_put_u64(out, NBD_MAGIC);
	buf_put_u64(out, NBD_MAGIC_OPTION);
	buf_put_u16(out, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
}

static size_t unit_bytes(const struct neg *n)
{
	switch (n->state) {
	case NEG_FLAGS:
		return 4;
	case NEG_HEADER:
		return NBD_OPTION_BYTES;
	case NEG_PAYLOAD:
		return n->payload;
	case NEG_SKIP:
		return n->skip;
	case NEG_WAIT:
		return 0;
	}
	return 0;
}

size_t neg_want(const struct neg *n)
{
	return n->verdict == NEG_MORE ? unit_bytes(n) - buf_len(&n->in) : 0;
}

void neg_close(struct neg *n, const char *reason)
{
	n->verdict = NEG_CLOSE;
	n->reason = reason;
}

static void take_flags(struct neg *n, const uint8_t *p)
{
	uint32_t flags = get_u32(p);

	if (flags & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES)) {
		neg_close(n, "client flags this server did not offer");
		return;
	}
	n->fixed = flags & NBD_FIXED_NEWSTYLE;
	n->no_zeroes = flags & NBD_NO_ZEROES;
	n->state = NEG_HEADER;
}

/* What can be decided from the header alone. */
static void take_header(struct neg *n, const uint8_t *p)
{
	n->option = get_u32(p + 8);
	n->payload = get_u32(p + 12);
	if (get_u64(p) != NBD_MAGIC_OPTION)
		neg_close(n, "wrong option magic");
	else if (++n->options > NEG_OPTIONS_MAX)
		neg_close(n, "too many options");
	else if (!n->fixed && n->option != NBD_OPT_EXPORT_NAME)
		neg_close(n, "option haggling without the fixed newstyle flag");
	else if (n->option == NBD_OPT_EXPORT_NAME && n->payload > NBD_STRING_MAX)
		neg_close(n, "export name longer than 4096 bytes");
	else if (n->payload > NEG_PAYLOAD_MAX)
		n->state = NEG_SKIP;
	else
		n->state = NEG_PAYLOAD;
	n->skip = n->payload;
}

static void end_of_option(struct neg *n)
{
	if (n->verdict == NEG_MORE)
		n->state = NEG_HEADER;
	else if (n->verdict == NEG_LOOKUP)
		n->state = NEG_WAIT;
}

static void end_of_skip(struct neg *n, struct buf *out)
{
	if (n->option == NBD_OPT_ABORT) {
		neg_reply(n, NBD_REP_ACK, NULL, 0, out);
		neg_close(n, NULL);
		return;
	}
	if (n->option == NBD_OPT_SET_META_CONTEXT)
		n->context_export = NEG_NO_EXPORT; /* also a failed SET voids the old selection */
	if (neg_option_is_known(n->option))
		neg_reply_text(n, NBD_REP_ERR_TOO_BIG, "option longer than 64 KiB", out);
	else
		neg_reply_text(n, NBD_REP_ERR_UNSUP, "unknown option", out);
	n->state = NEG_HEADER;
}

/* One complete unit of the current state. */
static void take_unit(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	switch (n->state) {
	case NEG_FLAGS:
		take_flags(n, p);
		break;
	case NEG_HEADER:
		take_header(n, p);
		break;
	case NEG_PAYLOAD:
		neg_option(n, env, p, out);
		end_of_option(n);
		break;
	case NEG_SKIP:
	case NEG_WAIT:
		break;
	}
}

static size_t skip(struct neg *n, size_t len, struct buf *out)
{
	size_t take = MIN_OF(len, (size_t)n->skip);

	n->skip -= (uint32_t)take;
	if (n->skip == 0)
		end_of_skip(n, out);
	return take;
}

/* Gathers a unit in n->in unless it lies complete in P; returns the bytes used. */
static size_t gather(
	struct neg *n, const struct neg_env *env, const uint8_t *p, size_t len, struct buf *out)
{
	size_t want = neg_want(n), take = MIN_OF(len, want);

	if (buf_len(&n->in) == 0 && take == want) {
		take_unit(n, env, p, out);
		return take;
	}
	buf_put(&n->in, p, take);
	if (buf_failed(&n->in))
		neg_close(n, "out of memory");
	else if (take == want) {
		take_unit(n, env, buf_bytes(&n->in), out);
		buf_clear(&n->in);
	}
	return take;
}

/* An option without payload is complete with its header. */
static bool unit_is_ready(const struct neg *n)
{
	return n->verdict == NEG_MORE && n->state == NEG_PAYLOAD && n->payload == 0;
}

size_t neg_feed(
	struct neg *n, const struct neg_env *env, const uint8_t *p, size_t len, struct buf *out)
{
	size_t used = 0;

	while (n->verdict == NEG_MORE && (used < len || unit_is_ready(n))) {
		if (n->state == NEG_SKIP)
			used += skip(n, len - used, out);
		else
			used += gather(n, env, p + used, len - used, out);
	}
	if (buf_failed(out) && n->verdict != NEG_CLOSE)
		neg_close(n, "replies beyond the limit");
	return used;
}

void neg_oldstyle(const struct export_facts *facts, struct buf *out)
{
	buf_put_u64(out, NBD_MAGIC);
	buf_put_u64(out, NBD_MAGIC_OLDSTYLE);
	buf_put_u64(out, facts->size);
	buf_put_u16(out, 0); /* handshake flags */
	buf_put_u16(out, facts->flags);
	buf_put_zeros(out, 124);
}

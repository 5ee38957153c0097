/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each option of the handshake does, one function an option, chosen by a table.
 * Called by negotiate.c with the whole payload; every length inside it is checked here.
 */
#include "neg_option.h"

#include "str.h"
#include "util.h"

#include <string.h>

void neg_reply(struct neg *n, uint32_t type, const void *data, size_t len, struct buf *out)
{
	buf_put_u64(out, NBD_MAGIC_OPTION_REPLY);
	buf_put_u32(out, n->option);
	buf_put_u32(out, type);
	buf_put_u32(out, (uint32_t)len);
	buf_put(out, data, len);
}

void neg_reply_text(struct neg *n, uint32_t type, const char *text, struct buf *out)
{
	neg_reply(n, type, text, strlen(text), out);
}

/* A bounded reader over an option's payload. */
struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool take_u16(struct cursor *c, uint16_t *ret)
{
	if (c->left < 2)
		return false;
	*ret = get_u16(c->p);
	c->p += 2;
	c->left -= 2;
	return true;
}

static bool take_u32(struct cursor *c, uint32_t *ret)
{
	if (c->left < 4)
		return false;
	*ret = get_u32(c->p);
	c->p += 4;
	c->left -= 4;
	return true;
}

/* A 32-bit length and that many bytes. */
static bool take_string(struct cursor *c, const char **ret, uint32_t *ret_len)
{
	if (!take_u32(c, ret_len) || c->left < *ret_len)
		return false;
	*ret = (const char *)c->p;
	c->p += *ret_len;
	c->left -= *ret_len;
	return true;
}

/* Answers a bad name itself; otherwise finds the export. */
static bool find_export(struct neg *n, const struct neg_env *env, const char *name, uint32_t len,
	uint32_t *ret, struct buf *out)
{
	if (export_check_name(name, len, NULL) < 0) {
		neg_reply_text(n, NBD_REP_ERR_INVALID,
			"an export name has at most 4096 bytes of UTF-8 without zero bytes", out);
		return false;
	}
	*ret = env->find(env->ctx, n->who, name, len);
	if (*ret != NEG_NO_EXPORT)
		return true;
	neg_reply_text(n, NBD_REP_ERR_UNKNOWN,
		len ? "no such export" : "no default export; ask for one by name", out);
	return false;
}

static void opt_export_name(
	struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	(void)out;
	n->lookup_id = env->find(env->ctx, n->who, (const char *)p, n->payload);
	if (n->features.extended)
		neg_close(n, "EXPORT_NAME after extended headers");
	else if (env->shutting_down)
		neg_close(n, "shutting down");
	else if (n->lookup_id == NEG_NO_EXPORT)
		neg_close(n, "EXPORT_NAME for an unknown export");
	else
		n->verdict = NEG_LOOKUP;
}

static void opt_abort(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	(void)env;
	(void)p;
	neg_reply(n, NBD_REP_ACK, NULL, 0, out);
	neg_close(n, NULL);
}

static void reply_server(struct neg *n, const struct neg_item *item, struct buf *out)
{
	size_t name = strlen(item->name);
	size_t description = item->description ? strlen(item->description) : 0;

	buf_put_u64(out, NBD_MAGIC_OPTION_REPLY);
	buf_put_u32(out, n->option);
	buf_put_u32(out, NBD_REP_SERVER);
	buf_put_u32(out, (uint32_t)(4 + name + description));
	buf_put_u32(out, (uint32_t)name);
	buf_put(out, item->name, name);
	if (description)
		buf_put(out, item->description, description);
}

static void opt_list(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	struct neg_item item;

	(void)p;
	if (n->payload != 0) {
		neg_reply_text(n, NBD_REP_ERR_INVALID, "LIST takes no data", out);
		return;
	}
	for (size_t i = 0; env->at(env->ctx, n->who, i, &item); i++) {
		if (item.name)
			reply_server(n, &item, out);
	}
	neg_reply(n, NBD_REP_ACK, NULL, 0, out);
}

static void opt_starttls(
	struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	(void)env;
	(void)p;
	if (n->payload != 0)
		neg_reply_text(n, NBD_REP_ERR_INVALID, "STARTTLS takes no data", out);
	else
		neg_reply_text(n, NBD_REP_ERR_UNSUP, "this server does not do TLS", out);
}

/* INFO and GO: name, number of information requests, the requests, nothing more. */
static void opt_info_go(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	struct cursor c = {p, n->payload};
	const char *name;
	uint32_t name_len;
	uint16_t requests, request;

	n->want_name = n->want_description = false;
	if (!take_string(&c, &name, &name_len) || !take_u16(&c, &requests) ||
		c.left != 2 * (size_t)requests) {
		neg_reply_text(
			n, NBD_REP_ERR_INVALID, "lengths inside the option do not add up", out);
		return;
	}
	while (take_u16(&c, &request)) {
		n->want_name |= request == NBD_INFO_NAME;
		n->want_description |= request == NBD_INFO_DESCRIPTION;
	}
	if (find_export(n, env, name, name_len, &n->lookup_id, out))
		n->verdict = NEG_LOOKUP;
}

static void opt_structured(
	struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	(void)env;
	(void)p;
	if (n->payload != 0) {
		neg_reply_text(n, NBD_REP_ERR_INVALID, "STRUCTURED_REPLY takes no data", out);
	} else if (n->features.extended) {
		neg_reply_text(n, NBD_REP_ERR_EXT_HEADER_REQD,
			"extended headers are already agreed on", out);
	} else {
		n->features.structured = true;
		neg_reply(n, NBD_REP_ACK, NULL, 0, out);
	}
}

static void opt_extended(
	struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	(void)env;
	(void)p;
	if (n->payload != 0 || n->features.extended) {
		neg_reply_text(n, NBD_REP_ERR_INVALID,
			n->payload ? "EXTENDED_HEADERS takes no data" : "already agreed on", out);
		return;
	}
	n->features.structured = n->features.extended = true;
	neg_reply(n, NBD_REP_ACK, NULL, 0, out);
}

static void reply_context(struct neg *n, uint32_t id, struct buf *out)
{
	uint8_t data[4 + sizeof(NBD_CONTEXT_BASE) - 1];

	set_u32(data, id);
	memcpy(data + 4, NBD_CONTEXT_BASE, sizeof(NBD_CONTEXT_BASE) - 1);
	neg_reply(n, NBD_REP_META_CONTEXT, data, sizeof(data), out);
}

/* "base:allocation" always matches, "base:" (all of the namespace) in LIST only. */
static bool query_matches(const char *query, uint32_t len, bool listing)
{
	static const char full[] = NBD_CONTEXT_BASE, space[] = "base:";

	return (len == sizeof(full) - 1 && memcmp(query, full, len) == 0) ||
		(listing && len == sizeof(space) - 1 && memcmp(query, space, len) == 0);
}

/* Reads all queries; false if they do not fill the payload exactly. */
static bool scan_queries(struct cursor *c, uint32_t count, bool listing, bool *ret_match)
{
	*ret_match = listing && count == 0;
	for (uint32_t i = 0; i < count; i++) {
		const char *query;
		uint32_t len;

		if (!take_string(c, &query, &len) || len > NBD_STRING_MAX)
			return false;
		*ret_match |= query_matches(query, len, listing);
	}
	return c->left == 0;
}

static void opt_meta_context(
	struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	bool listing = n->option == NBD_OPT_LIST_META_CONTEXT, match;
	struct cursor c = {p, n->payload};
	const char *name;
	uint32_t name_len, count, id;

	if (!listing)
		n->context_export = NEG_NO_EXPORT; /* any new SET voids the old selection */
	if (!n->features.structured) {
		neg_reply_text(
			n, NBD_REP_ERR_INVALID, "structured replies must be agreed on first", out);
		return;
	}
	if (!take_string(&c, &name, &name_len) || !take_u32(&c, &count) ||
		!scan_queries(&c, count, listing, &match)) {
		neg_reply_text(
			n, NBD_REP_ERR_INVALID, "lengths inside the option do not add up", out);
		return;
	}
	if (!find_export(n, env, name, name_len, &id, out))
		return;
	if (match)
		reply_context(n, listing ? 0 : NBD_CONTEXT_BASE_ID, out);
	if (match && !listing)
		n->context_export = id;
	neg_reply(n, NBD_REP_ACK, NULL, 0, out);
}

static const struct {
	uint32_t option;
	void (*fn)(struct neg *, const struct neg_env *, const uint8_t *, struct buf *);
} handlers[] = {
	{NBD_OPT_EXPORT_NAME, opt_export_name},
	{NBD_OPT_ABORT, opt_abort},
	{NBD_OPT_LIST, opt_list},
	{NBD_OPT_STARTTLS, opt_starttls},
	{NBD_OPT_INFO, opt_info_go},
	{NBD_OPT_GO, opt_info_go},
	{NBD_OPT_STRUCTURED_REPLY, opt_structured},
	{NBD_OPT_LIST_META_CONTEXT, opt_meta_context},
	{NBD_OPT_SET_META_CONTEXT, opt_meta_context},
	{NBD_OPT_EXTENDED_HEADERS, opt_extended},
};

bool neg_option_is_known(uint32_t option)
{
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (handlers[i].option == option)
			return true;
	}
	return false;
}

void neg_option(struct neg *n, const struct neg_env *env, const uint8_t *p, struct buf *out)
{
	if (env->shutting_down && n->option != NBD_OPT_ABORT && n->option != NBD_OPT_EXPORT_NAME) {
		neg_reply_text(n, NBD_REP_ERR_SHUTDOWN, "the server is shutting down", out);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (handlers[i].option == n->option) {
			handlers[i].fn(n, env, p, out);
			return;
		}
	}
	neg_reply_text(n, NBD_REP_ERR_UNSUP, "unknown option", out);
}

/* The answer to a lookup. */

bool neg_lookup_is_final(const struct neg *n)
{
	return n->option != NBD_OPT_INFO;
}

static uint16_t session_flags(const struct neg *n, uint16_t flags)
{
	if (n->features.structured)
		flags |= NBD_FLAG_SEND_DF;
	if (n->features.extended)
		flags |= NBD_FLAG_BLOCK_STATUS_PAYLOAD;
	return flags;
}

static void reply_info_text(struct neg *n, uint16_t type, const char *text, struct buf *out)
{
	size_t len = strlen(text);

	buf_put_u64(out, NBD_MAGIC_OPTION_REPLY);
	buf_put_u32(out, n->option);
	buf_put_u32(out, NBD_REP_INFO);
	buf_put_u32(out, (uint32_t)(2 + len));
	buf_put_u16(out, type);
	buf_put(out, text, len);
}

static void reply_infos(
	struct neg *n, const struct neg_env *env, const struct export_facts *facts, struct buf *out)
{
	uint8_t export[12], block[14];
	struct neg_item item;

	set_u16(export, NBD_INFO_EXPORT);
	set_u64(export + 2, facts->size);
	set_u16(export + 10, session_flags(n, facts->flags));
	neg_reply(n, NBD_REP_INFO, export, sizeof(export), out);
	if (env->by_id(env->ctx, n->lookup_id, &item)) {
		if (n->want_name)
			reply_info_text(n, NBD_INFO_NAME, item.name, out);
		if (n->want_description && item.description)
			reply_info_text(n, NBD_INFO_DESCRIPTION, item.description, out);
	}
	set_u16(block, NBD_INFO_BLOCK_SIZE);
	set_u32(block + 2, facts->block_min);
	set_u32(block + 6, facts->block_preferred);
	set_u32(block + 10, facts->block_max);
	neg_reply(n, NBD_REP_INFO, block, sizeof(block), out);
	neg_reply(n, NBD_REP_ACK, NULL, 0, out);
}

static void answer_export_name(struct neg *n, const struct export_facts *facts, struct buf *out)
{
	buf_put_u64(out, facts->size);
	buf_put_u16(out, session_flags(n, facts->flags));
	if (!n->no_zeroes)
		buf_put_zeros(out, 124);
}

void neg_answer(
	struct neg *n, const struct neg_env *env, const struct export_facts *facts, struct buf *out)
{
	n->told = facts->size;
	n->told_readonly = facts->flags & NBD_FLAG_READ_ONLY;
	if (n->option == NBD_OPT_EXPORT_NAME)
		answer_export_name(n, facts, out);
	else
		reply_infos(n, env, facts, out);
	if (!neg_lookup_is_final(n)) {
		n->verdict = NEG_MORE;
		n->state = NEG_HEADER;
		return;
	}
	n->features.allocation = n->context_export == n->lookup_id;
	n->verdict = NEG_GO;
}

void neg_refuse(struct neg *n, uint32_t reply, const char *text, struct buf *out)
{
	if (n->option == NBD_OPT_EXPORT_NAME) {
		neg_close(n, "EXPORT_NAME for an export that cannot be served");
		return;
	}
	neg_reply_text(n, reply, text, out);
	n->verdict = NEG_MORE;
	n->state = NEG_HEADER;
}

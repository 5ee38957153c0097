/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a peer may send us: replies, the ports in them, and records over TCP. The first byte says in
 * what pieces a record arrives, the rest is sent: whatever the pieces, the same comes out.
 */
#include "fuzz.h"

#include "rpc.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static void check_port(enum rpc_method method, const struct rpc_reply *reply)
{
	uint16_t port = 77;
	int r = rpc_parse_port(method, reply, &port);

	REQUIRE(r == 0 || r == -EBADMSG || r == -ERANGE);
	REQUIRE(r == 0 || port == 77);
}

static void check_reply(const uint8_t *data, size_t size)
{
	struct rpc_reply reply;
	uint32_t xid;
	int r = rpc_parse_reply(data, size, &reply);

	REQUIRE(r == 0 || r == -EBADMSG);
	if (r < 0)
		return;
	REQUIRE(rpc_xid(data, size, &xid) && xid == reply.xid);
	REQUIRE(strlen(rpc_answer_text(reply.answer)) > 0);
	if (reply.answer != RPC_DONE)
		return;
	REQUIRE(size >= RPC_REPLY_MIN && reply.result + reply.len == data + size);
	for (enum rpc_method m = RPC_GETPORT; m < RPC_METHODS; m++)
		check_port(m, &reply);
}

static int feed(struct rpc_record *r, const uint8_t *data, size_t size, size_t piece)
{
	int ret = 0;

	rpc_record_init(r);
	for (size_t at = 0; at < size && ret == 0; at += piece)
		ret = rpc_record_feed(r, data + at, MIN_OF(piece, size - at));
	REQUIRE(ret == 0 || ret == 1 || ret == -EMSGSIZE);
	REQUIRE(r->len <= sizeof(r->bytes));
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rpc_record whole, pieces;
	int ret;

	if (size == 0)
		return 0;
	check_reply(data + 1, size - 1);
	ret = feed(&whole, data + 1, size - 1, size);
	REQUIRE(feed(&pieces, data + 1, size - 1, 1 + data[0] % 16u) == ret);
	REQUIRE(ret < 0 || whole.len == pieces.len);
	REQUIRE(ret < 0 || memcmp(whole.bytes, pieces.bytes, whole.len) == 0);
	if (ret == 1)
		check_reply(whole.bytes, whole.len);
	return 0;
}

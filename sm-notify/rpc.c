/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls and replies as bytes. Calls are written into buffers of RPC_CALL_MAX bytes, which hold the
 * longest of them; replies are read through a cursor that knows where they end and fails for good
 * once something is missing.
 */
#include "rpc.h"

#include "buf.h"
#include "util.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	MSG_CALL = 0,
	MSG_REPLY = 1,
	RPC_VERSION = 2,
	REPLY_ACCEPTED = 0,
	REPLY_DENIED = 1,
	DENIED_MISMATCH = 0,
	DENIED_AUTH = 1,
	VERIFIER_MAX = 400, /* RFC 5531, 8.2 */
	PROG_RPCBIND = 100000,
	PROC_LOOKUP = 3, /* GETPORT and GETADDR */
	PROG_STATUS = 100024,
	VERS_STATUS = 1,
	PROC_NOTIFY = 6,
	NETID_MAX = 4,
};

/* Writing. */

struct writer {
	uint8_t *bytes;
	size_t len;
};

static void put(struct writer *w, uint32_t n)
{
	set_u32(w->bytes + w->len, n);
	w->len += 4;
}

static void put_text(struct writer *w, const char *text, size_t len)
{
	size_t padding = -len & 3;

	put(w, (uint32_t)len);
	memcpy(w->bytes + w->len, text, len);
	memset(w->bytes + w->len + len, 0, padding);
	w->len += len + padding;
}

static void put_call(struct writer *w, uint32_t xid, uint32_t prog, uint32_t vers, uint32_t proc)
{
	put(w, xid);
	put(w, MSG_CALL);
	put(w, RPC_VERSION);
	put(w, prog);
	put(w, vers);
	put(w, proc);
	memset(w->bytes + w->len, 0, 16); /* credentials and verifier: none, no bytes */
	w->len += 16;
}

static void put_getaddr(struct writer *w, const struct rpc_query *q)
{
	static const char netids[2][2][NETID_MAX + 1] = {{"udp", "tcp"}, {"udp6", "tcp6"}};
	const char *netid = netids[q->v6][q->prot];

	put_text(w, netid, strlen(netid));
	put_text(w, q->to, strlen(q->to));
	put_text(w, "", 0); /* owner */
}

size_t rpc_call_query(uint8_t *out, uint32_t xid, const struct rpc_query *q)
{
	static const uint32_t versions[RPC_METHODS] = {2, 3, 4};
	struct writer w = {out, 0};

	put_call(&w, xid, PROG_RPCBIND, versions[q->method], PROC_LOOKUP);
	put(&w, PROG_STATUS);
	put(&w, VERS_STATUS);
	if (q->method == RPC_GETPORT) {
		put(&w, q->prot == RPC_TCP ? IPPROTO_TCP : IPPROTO_UDP);
		put(&w, 0); /* port: filled by the answer */
	} else {
		put_getaddr(&w, q);
	}
	return w.len;
}

size_t rpc_call_notify(uint8_t *out, uint32_t xid, const char *name, size_t len, int32_t state)
{
	struct writer w = {out, 0};

	assert(len <= RPC_NAME_MAX);
	put_call(&w, xid, PROG_STATUS, VERS_STATUS, PROC_NOTIFY);
	put_text(&w, name, len);
	put(&w, (uint32_t)state);
	return w.len;
}

void rpc_put_mark(uint8_t out[RPC_MARK], size_t len)
{
	set_u32(out, (uint32_t)len | 0x80000000);
}

/* Reading. */

struct reader {
	const uint8_t *bytes;
	size_t left;
	bool failed;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	const uint8_t *p = r->bytes;

	if (r->failed || len > r->left) {
		r->failed = true;
		return NULL;
	}
	r->bytes += len;
	r->left -= len;
	return p;
}

static uint32_t take_u32(struct reader *r)
{
	const uint8_t *p = take(r, 4);

	return p ? get_u32(p) : UINT32_MAX;
}

/* A run of at most MAX bytes with its length in front. */
static const uint8_t *take_opaque(struct reader *r, size_t max, size_t *ret_len)
{
	size_t len = take_u32(r);

	if (r->failed || len > max) {
		r->failed = true;
		return NULL;
	}
	*ret_len = len;
	return take(r, (len + 3) & ~(size_t)3);
}

static int answer_of(uint32_t status, enum rpc_answer *ret)
{
	if (status > RPC_SYSTEM_ERR)
		return -EBADMSG;
	*ret = (enum rpc_answer)status; /* the protocol's numbers are ours */
	return 0;
}

static int read_accepted(struct reader *r, enum rpc_answer *ret)
{
	size_t verifier_len;
	uint32_t status;

	take_u32(r); /* kind of verifier */
	take_opaque(r, VERIFIER_MAX, &verifier_len);
	status = take_u32(r);
	return r->failed ? -EBADMSG : answer_of(status, ret);
}

static int read_denied(struct reader *r, enum rpc_answer *ret)
{
	uint32_t why = take_u32(r);

	if (r->failed || (why != DENIED_MISMATCH && why != DENIED_AUTH))
		return -EBADMSG;
	*ret = why == DENIED_AUTH ? RPC_AUTH_DENIED : RPC_VERSION_DENIED;
	return 0;
}

static int read_body(struct reader *r, enum rpc_answer *ret)
{
	uint32_t status;

	if (take_u32(r) != MSG_REPLY)
		return -EBADMSG;
	status = take_u32(r);
	if (status == REPLY_ACCEPTED)
		return read_accepted(r, ret);
	return status == REPLY_DENIED ? read_denied(r, ret) : -EBADMSG;
}

int rpc_parse_reply(const uint8_t *bytes, size_t len, struct rpc_reply *ret)
{
	struct reader r = {bytes, len, false};
	struct rpc_reply reply = {.xid = take_u32(&r)};

	if (read_body(&r, &reply.answer) < 0 || r.failed)
		return -EBADMSG;
	if (reply.answer == RPC_DONE) {
		reply.result = r.bytes;
		reply.len = r.left;
	}
	*ret = reply;
	return 0;
}

bool rpc_xid(const uint8_t *bytes, size_t len, uint32_t *ret)
{
	if (len < 4)
		return false;
	*ret = get_u32(bytes);
	return true;
}

/* Ports. */

static int read_getport(struct reader *r, uint16_t *ret)
{
	uint32_t port = take_u32(r);

	if (r->failed)
		return -EBADMSG;
	if (port > UINT16_MAX)
		return -ERANGE;
	*ret = (uint16_t)port;
	return 0;
}

/* One of the two last parts, which ends before *END; *END becomes the place of the dot before. */
static int take_byte(const char *text, size_t *end, unsigned *ret)
{
	size_t dot = *end;
	unsigned n = 0;

	while (dot > 0 && text[dot - 1] != '.')
		dot--;
	if (dot == 0 || dot == *end || *end - dot > 3)
		return -EBADMSG;
	for (size_t i = dot; i < *end; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EBADMSG;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n > 255)
		return -ERANGE;
	*end = dot - 1;
	*ret = n;
	return 0;
}

/* The host in front is not used (we know whom we asked), but something else is no address. */
static bool is_host(const char *text, size_t len)
{
	char host[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	host[strcspn(host, "%")] = 0;
	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static int read_universal(const char *text, size_t len, uint16_t *ret)
{
	unsigned high, low;
	int r = take_byte(text, &len, &low);

	if (r == 0)
		r = take_byte(text, &len, &high);
	if (r < 0)
		return r;
	if (!is_host(text, len))
		return -EBADMSG;
	*ret = (uint16_t)(high << 8 | low);
	return 0;
}

static int read_getaddr(struct reader *r, uint16_t *ret)
{
	size_t len;
	const uint8_t *text = take_opaque(r, RPC_REPLY_MAX, &len);

	if (!text)
		return -EBADMSG;
	if (len > 0)
		return read_universal((const char *)text, len, ret);
	*ret = 0;
	return 0;
}

int rpc_parse_port(enum rpc_method method, const struct rpc_reply *reply, uint16_t *ret)
{
	struct reader r = {reply->result, reply->len, false};

	return method == RPC_GETPORT ? read_getport(&r, ret) : read_getaddr(&r, ret);
}

const char *rpc_answer_text(enum rpc_answer answer)
{
	static const char *const texts[] = {
		[RPC_DONE] = "done",
		[RPC_PROG_UNAVAIL] = "program not available",
		[RPC_PROG_MISMATCH] = "program version not supported",
		[RPC_PROC_UNAVAIL] = "procedure not available",
		[RPC_GARBAGE_ARGS] = "arguments not understood",
		[RPC_SYSTEM_ERR] = "system error",
		[RPC_VERSION_DENIED] = "RPC version not supported",
		[RPC_AUTH_DENIED] = "authentication refused",
	};

	return texts[answer];
}

/* Record marks. */

void rpc_record_init(struct rpc_record *r)
{
	memset(r, 0, offsetof(struct rpc_record, bytes));
}

static int take_mark(struct rpc_record *r, uint8_t byte)
{
	uint32_t mark;

	r->mark[r->mark_len++] = byte;
	if (r->mark_len < RPC_MARK)
		return 0;
	mark = get_u32(r->mark);
	r->mark_len = 0;
	r->last = mark >> 31;
	r->left = mark & 0x7fffffff;
	/* Empty fragments would go on for ever. */
	if (r->left > sizeof(r->bytes) - r->len || ++r->marks > sizeof(r->bytes))
		return -EMSGSIZE;
	return r->last && r->left == 0;
}

static size_t take_fragment(struct rpc_record *r, const uint8_t *bytes, size_t len)
{
	size_t n = MIN_OF(len, (size_t)r->left);

	memcpy(r->bytes + r->len, bytes, n);
	r->len += n;
	r->left -= (uint32_t)n;
	return n;
}

int rpc_record_feed(struct rpc_record *r, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		size_t n = 1;

		if (r->left == 0) {
			int ret = take_mark(r, *bytes);

			if (ret != 0)
				return ret;
		} else {
			n = take_fragment(r, bytes, len);
			if (r->left == 0 && r->last)
				return 1;
		}
		bytes += n;
		len -= n;
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a peer may say to either side of a conversation with a stonith proxy. Without the secret
 * nothing is ever believed, and what is taken can be said again. The first byte chooses the side
 * and the pieces in which the rest arrives. Keys and what sshd says are text from elsewhere, too.
 */
#include "fuzz.h"

#include "proxy_origin.h"
#include "proxy_rate.h"
#include "proxy_wire.h"
#include "ssh_key.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static const uint8_t challenge[PROXY_WIRE_HASH] = {0x55, 0xaa};

static void check_request(const struct proxy_wire_request *q)
{
	char out[2 * (PROXY_WIRE_LINE_MAX + 1) + 1], hello[PROXY_WIRE_LINE_MAX + 2];
	struct proxy_wire_request again = {0};
	struct proxy_wire c, s;
	struct proxy_wire_answer a;
	const char *text;
	uint64_t time;

	proxy_wire_init(&s, "what both sides know");
	proxy_wire_init(&c, "what both sides know");
	hello[proxy_wire_hello(&s, challenge, 1, hello) - 1] = 0;
	REQUIRE(proxy_wire_take(&c, hello, &a, &text, &time) == PROXY_WIRE_HELLO);
	REQUIRE(proxy_wire_request(&c, q, out) > 0);
	*strchr(out, '\n') = 0;
	REQUIRE(proxy_wire_take_request(&s, out, &again) == 0);
	REQUIRE(again.goal == q->goal && again.within == q->within && again.time == q->time);
	REQUIRE(strcmp(again.victim, q->victim) == 0 &&
		memcmp(again.id, q->id, sizeof(q->id)) == 0);
}

static int on_server_line(struct proxy_wire *w, const char *line)
{
	struct proxy_wire_request q;
	int r = proxy_wire_take_request(w, line, &q);

	REQUIRE(r == 0 || r == -EBADMSG || r == -EACCES);
	if (r == 0)
		check_request(&q);
	return r;
}

static int on_client_line(struct proxy_wire *w, const char *line, struct proxy_wire_answer *a)
{
	static const struct proxy_wire_request q = {.victim = "n1", .within = 1000};
	char out[2 * (PROXY_WIRE_LINE_MAX + 1) + 1];
	const char *text = "";
	uint64_t time;
	int r = proxy_wire_take(w, line, a, &text, &time);

	REQUIRE(r != PROXY_WIRE_ANSWERED);
	if (r == PROXY_WIRE_HELLO)
		REQUIRE(proxy_wire_request(w, &q, out) > 0);
	if (r == PROXY_WIRE_NOTE || r == PROXY_WIRE_NO)
		REQUIRE(text >= line && text <= line + strlen(line));
	REQUIRE(w->outlets <= FENCE_OUTLETS_MAX && w->notes <= PROXY_WIRE_NOTES_MAX + 1);
	return r == PROXY_WIRE_NO ? -ECANCELED : MIN_OF(r, 0);
}

static void converse(bool server, size_t piece, const char *bytes, size_t size)
{
	struct proxy_wire_lines lines = {0};
	static struct proxy_wire_answer a;
	struct proxy_wire w;
	char out[PROXY_WIRE_LINE_MAX + 2];
	int r = 0;

	REQUIRE(proxy_wire_init(&w, "a secret that nobody guesses") == 0);
	if (server)
		proxy_wire_hello(&w, challenge, 1, out);
	for (size_t at = 0; at < size && r >= 0; at += piece) {
		const char *p = bytes + at;
		size_t len = MIN_OF(piece, size - at);

		while (r >= 0 && (r = proxy_wire_feed(&lines, &p, &len)) == 1)
			r = server ? on_server_line(&w, lines.line)
				   : on_client_line(&w, lines.line, &a);
	}
}

static void check_texts(const char *bytes, size_t size)
{
	char *text = malloc(size + 1), print[SSH_KEY_PRINT_MAX];
	struct proxy_origin o;
	struct proxy_rate rate;
	struct ssh_key k;

	if (!text)
		return;
	memcpy(text, bytes, size);
	text[size] = 0;
	if (ssh_key_parse(text, &k) == 0)
		REQUIRE(k.len <= SSH_KEY_BLOB_MAX && ssh_key_type(k.blob, k.len) == k.type);
	ssh_key_print((const uint8_t *)bytes, size, print);
	REQUIRE(strlen(print) < sizeof(print));
	proxy_origin_parse(&o, text, text);
	REQUIRE(*o.address && strlen(o.key) < sizeof(o.key));
	proxy_rate_parse(&rate, text);
	REQUIRE(rate.count <= PROXY_RATE_MAX);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	converse(data[0] & 1, 1 + data[0] / 2, (const char *)data + 1, size - 1);
	check_texts((const char *)data + 1, size - 1);
	return 0;
}

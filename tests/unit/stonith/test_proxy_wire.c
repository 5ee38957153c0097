/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A conversation with a stonith proxy: what was said comes out, and nothing that was cut, changed,
 * left out, said twice, or said in another conversation is ever believed.
 */
#include "proxy_wire.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "correct horse battery"

enum { BYTES_MAX = 2 * PROXY_WIRE_ANSWER_MAX };

/* What was said by each side, as bytes. */
struct record {
	char hello[600], request[2000], answer[BYTES_MAX];
	size_t hello_len, request_len, answer_len;
};

static const uint8_t challenge[PROXY_WIRE_HASH] = {1, 2, 3, 0xfe};

static struct proxy_wire_request a_request(void)
{
	struct proxy_wire_request q = {
		.goal = FENCE_CYCLE,
		.time = 1800000000,
		.within = 20000,
		.id = {9, 8, 7},
		.victim = "n1",
		.why = "it is frozen",
	};

	return q;
}

static struct proxy_wire_answer an_answer(size_t outlets)
{
	struct proxy_wire_answer a = {
		.code = PROXY_WIRE_DONE, .ms = 4711, .outlet_count = outlets, .text = "n1 is off"};

	for (size_t i = 0; i < outlets; i++) {
		a.outlets[i] = (struct proxy_wire_outlet){.before = OUTLET_ON,
			.before_value = INT32_MIN,
			.last = OUTLET_OFF,
			.last_value = INT32_MAX,
			.fault = FENCE_NO_FAULT,
			.set = true};
		snprintf(a.outlets[i].name, sizeof(a.outlets[i].name), "left:%zu", i + 1);
	}
	return a;
}

/* Feeds bytes in pieces; the last result of what takes lines. */
static int give_server(
	struct proxy_wire *w, const char *bytes, size_t len, struct proxy_wire_request *q)
{
	struct proxy_wire_lines lines = {0};
	int r = 0, fed;

	while ((fed = proxy_wire_feed(&lines, &bytes, &len)) == 1) {
		r = proxy_wire_take_request(w, lines.line, q);
		if (r != 0)
			return r;
	}
	return fed < 0 ? fed : 0;
}

/* ANSWERED, NO, -errno, or MORE: the bytes were not enough. */
static int give_client(
	struct proxy_wire *w, const char *bytes, size_t len, struct proxy_wire_answer *a)
{
	struct proxy_wire_lines lines = {0};
	const char *text;
	uint64_t time;
	int r = PROXY_WIRE_MORE, fed;

	while ((fed = proxy_wire_feed(&lines, &bytes, &len)) == 1) {
		r = proxy_wire_take(w, lines.line, a, &text, &time);
		if (r < 0 || r == PROXY_WIRE_ANSWERED || r == PROXY_WIRE_NO)
			return r;
	}
	return fed < 0 ? fed : PROXY_WIRE_MORE;
}

static void client_asks(struct proxy_wire *c, struct record *rec, const char *secret)
{
	struct proxy_wire_request q = a_request();
	struct proxy_wire_answer a;

	assert_int_equal(proxy_wire_init(c, secret), 0);
	assert_int_equal(give_client(c, rec->hello, rec->hello_len, &a), PROXY_WIRE_MORE);
	rec->request_len = proxy_wire_request(c, &q, rec->request);
	assert_true(rec->request_len > 0);
}

static void server_greets(struct proxy_wire *s, struct record *rec)
{
	assert_int_equal(proxy_wire_init(s, SECRET), 0);
	rec->hello_len = proxy_wire_hello(s, challenge, 1800000001, rec->hello);
}

/* A whole one; both sides are as they are at its end, but the client has not seen the answer. */
static void converse(struct proxy_wire *s, struct proxy_wire *c, struct record *rec, size_t outlets)
{
	struct proxy_wire_answer a = an_answer(outlets);
	struct proxy_wire_request q;

	server_greets(s, rec);
	client_asks(c, rec, SECRET);
	assert_int_equal(give_server(s, rec->request, rec->request_len, &q), 1);
	rec->answer_len = proxy_wire_note(s, "working", rec->answer);
	rec->answer_len += proxy_wire_answer(s, &a, rec->answer + rec->answer_len);
}

static struct record rec; /* large */

static void test_whole(void **state)
{
	struct proxy_wire_request q, wanted = a_request();
	struct proxy_wire_answer a, sent = an_answer(FENCE_OUTLETS_MAX);
	struct proxy_wire s, c;

	(void)state;
	converse(&s, &c, &rec, FENCE_OUTLETS_MAX);
	assert_true(rec.answer_len < sizeof(rec.answer));
	assert_int_equal(give_client(&c, rec.answer, rec.answer_len, &a), PROXY_WIRE_ANSWERED);
	assert_int_equal(a.code, sent.code);
	assert_int_equal(a.ms, sent.ms);
	assert_int_equal(a.outlet_count, sent.outlet_count);
	assert_string_equal(a.text, sent.text);
	for (size_t i = 0; i < a.outlet_count; i++) {
		assert_int_equal(a.outlets[i].before_value, INT32_MIN);
		assert_int_equal(a.outlets[i].last_value, INT32_MAX);
		assert_int_equal(a.outlets[i].before, OUTLET_ON);
		assert_int_equal(a.outlets[i].last, OUTLET_OFF);
		assert_true(a.outlets[i].set);
		assert_string_equal(a.outlets[i].name, sent.outlets[i].name);
	}
	server_greets(&s, &rec);
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &q), 1);
	assert_memory_equal(&q, &wanted, sizeof(q));
}

static void test_pieces(void **state)
{
	struct proxy_wire s, c;

	(void)state;
	converse(&s, &c, &rec, 2);
	for (size_t step = 1; step < 80; step++) {
		struct proxy_wire_lines lines = {0};
		unsigned found = 0;

		for (size_t at = 0; at < rec.answer_len; at += step) {
			const char *p = rec.answer + at;
			size_t len = MIN_OF(step, rec.answer_len - at);

			while (proxy_wire_feed(&lines, &p, &len) == 1)
				found++;
			assert_int_equal(len, 0);
		}
		assert_int_equal(found, 5);
	}
}

static void test_line_limits(void **state)
{
	char long_one[PROXY_WIRE_LINE_MAX + 2];
	struct proxy_wire_lines lines = {0};
	const char *p = long_one;
	size_t len = PROXY_WIRE_LINE_MAX + 1;

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	long_one[PROXY_WIRE_LINE_MAX] = '\n';
	assert_int_equal(proxy_wire_feed(&lines, &p, &len), 1);
	assert_int_equal(strlen(lines.line), PROXY_WIRE_LINE_MAX);
	long_one[PROXY_WIRE_LINE_MAX] = 'x';
	p = long_one;
	len = PROXY_WIRE_LINE_MAX;
	assert_int_equal(proxy_wire_feed(&lines, &p, &len), 0);
	len = 1;
	assert_int_equal(proxy_wire_feed(&lines, &p, &len), -EMSGSIZE);
	for (int byte = 0; byte < 256; byte++) {
		const char one = (char)byte;
		int wanted = byte == '\n' ? 1 : byte < 32 || byte == 127 ? -EBADMSG : 0;

		lines.len = 0;
		p = &one;
		len = 1;
		assert_int_equal(proxy_wire_feed(&lines, &p, &len), wanted);
	}
}

/* What is not whole is nothing, with and without a newline at the cut. */
static void test_cuts(void **state)
{
	static char bytes[BYTES_MAX];
	struct proxy_wire_request q;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;

	(void)state;
	converse(&s, &c, &rec, 2);
	for (size_t cut = 0; cut < rec.request_len; cut++) {
		memcpy(bytes, rec.request, cut);
		bytes[cut] = '\n';
		server_greets(&s, &rec);
		assert_true(give_server(&s, bytes, cut, &q) <= 0);
		if (cut == rec.request_len - 1)
			continue; /* that is all of it */
		server_greets(&s, &rec);
		assert_true(give_server(&s, bytes, cut + 1, &q) <= 0);
	}
	for (size_t cut = 0; cut < rec.answer_len; cut++) {
		memcpy(bytes, rec.answer, cut);
		bytes[cut] = '\n';
		client_asks(&c, &rec, SECRET);
		assert_true(give_client(&c, bytes, cut, &a) != PROXY_WIRE_ANSWERED);
		if (cut == rec.answer_len - 1)
			continue;
		client_asks(&c, &rec, SECRET);
		assert_true(give_client(&c, bytes, cut + 1, &a) != PROXY_WIRE_ANSWERED);
	}
}

static void test_flipped_bits(void **state)
{
	struct proxy_wire_request q;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;

	(void)state;
	converse(&s, &c, &rec, 2);
	for (size_t bit = 0; bit < rec.request_len * 8; bit++) {
		rec.request[bit / 8] ^= (char)(1 << bit % 8);
		server_greets(&s, &rec);
		assert_true(give_server(&s, rec.request, rec.request_len, &q) <= 0);
		rec.request[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < rec.answer_len * 8; bit++) {
		client_asks(&c, &rec, SECRET);
		rec.answer[bit / 8] ^= (char)(1 << bit % 8);
		assert_true(give_client(&c, rec.answer, rec.answer_len, &a) != PROXY_WIRE_ANSWERED);
		rec.answer[bit / 8] ^= (char)(1 << bit % 8);
	}
}

/* A challenge changed on its way: the request is not the one that answers it. */
static void test_flipped_hello(void **state)
{
	struct proxy_wire_request q = a_request(), got;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;
	char out[2000];

	(void)state;
	for (size_t bit = 0;; bit++) {
		server_greets(&s, &rec);
		if (bit >= rec.hello_len * 8)
			break;
		rec.hello[bit / 8] ^= (char)(1 << bit % 8);
		proxy_wire_init(&c, SECRET);
		if (give_client(&c, rec.hello, rec.hello_len, &a) < 0 ||
			proxy_wire_request(&c, &q, out) == 0)
			continue;
		assert_int_equal(give_server(&s, out, strlen(out), &got), -EACCES);
	}
}

static void test_replay(void **state)
{
	static const uint8_t another[PROXY_WIRE_HASH] = {1, 2, 3, 0xff};
	struct proxy_wire_request q = a_request(), got;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;
	char out[2000];

	(void)state;
	converse(&s, &c, &rec, 2);
	/* Twice in one conversation. */
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &got), -EBADMSG);
	/* The request to another challenge, or to the same at another time. */
	proxy_wire_init(&s, SECRET);
	proxy_wire_hello(&s, another, 1800000001, out);
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &got), -EACCES);
	proxy_wire_init(&s, SECRET);
	proxy_wire_hello(&s, challenge, 1800000002, out);
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &got), -EACCES);
	/* The answer to another request, though the challenge is the same. */
	q.id[31] = 1;
	proxy_wire_init(&c, SECRET);
	assert_int_equal(give_client(&c, rec.hello, rec.hello_len, &a), PROXY_WIRE_MORE);
	assert_true(proxy_wire_request(&c, &q, out) > 0);
	assert_int_equal(give_client(&c, rec.answer, rec.answer_len, &a), -EACCES);
}

static void test_other_secret(void **state)
{
	struct proxy_wire_request q;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;

	(void)state;
	server_greets(&s, &rec);
	client_asks(&c, &rec, "correct horse batterz");
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &q), -EACCES);
	converse(&s, &c, &rec, 2);
	client_asks(&c, &rec, "correct horse batterz");
	assert_int_equal(give_client(&c, rec.answer, rec.answer_len, &a), -EACCES);
	assert_int_equal(proxy_wire_init(&c, "fifteen bytes.."), -EINVAL);
	assert_int_equal(proxy_wire_init(&c, "sixteen bytes..."), 0);
	assert_int_equal(proxy_wire_init(&c, NULL), -EINVAL);
}

/* Lines of the answer: one left out, one twice, two exchanged, one more. */
static void test_lines_moved(void **state)
{
	static char bytes[BYTES_MAX];
	struct proxy_wire s, c;
	struct proxy_wire_answer a;
	const char *line[8];
	size_t count = 0;

	(void)state;
	converse(&s, &c, &rec, 3); /* note, 3 outlets, verdict, mac */
	for (char *p = strtok(rec.answer, "\n"); p; p = strtok(NULL, "\n"))
		line[count++] = p;
	assert_int_equal(count, 6);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			bytes[0] = 0;
			for (size_t k = 0; k < count; k++) {
				if (j != i || k != i) { /* i and j exchanged; i = j: left out */
					strcat(bytes, line[k == i ? j : k == j ? i : k]);
					strcat(bytes, "\n");
				}
			}
			client_asks(&c, &rec, SECRET);
			assert_true(
				give_client(&c, bytes, strlen(bytes), &a) != PROXY_WIRE_ANSWERED);
			if (i == count - 1 && j == i)
				continue; /* nobody reads what is behind the MAC */
			bytes[0] = 0;
			for (size_t k = 0; k < count; k++) { /* j once more, in front of i */
				if (k == i)
					strcat(strcat(bytes, line[j]), "\n");
				strcat(strcat(bytes, line[k]), "\n");
			}
			client_asks(&c, &rec, SECRET);
			assert_true(
				give_client(&c, bytes, strlen(bytes), &a) != PROXY_WIRE_ANSWERED);
		}
	}
}

/* Who only sends back what he hears proves nothing. */
static void test_mirror(void **state)
{
	struct proxy_wire_request q;
	struct proxy_wire_answer a;
	struct proxy_wire s, c;

	(void)state;
	server_greets(&s, &rec);
	assert_int_equal(give_server(&s, rec.hello, rec.hello_len, &q), -EBADMSG);
	server_greets(&s, &rec);
	client_asks(&c, &rec, SECRET);
	assert_int_equal(give_client(&c, rec.request, rec.request_len, &a), -EBADMSG);
}

#define ID "0000000000000000000000000000000000000000000000000000000000000000"

static void test_bad_requests(void **state)
{
	static const char *const rows[] = {
		"",
		"shoot",
		"shoot off",
		"shoot off 1 1 " ID,
		"shoot off 1 1 " ID " ",
		"shoot off 1 1 " ID "  why",
		"shoot off 1 1 " ID " n\xc3\xb6 why",
		"shoot off 1 1 " ID " n1 \xff",
		"shoot off 1 1 " ID
		" nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn why",
		"shoot off 1 3600001 " ID " n1 why",
		"shoot off 1 -1 " ID " n1 why",
		"shoot off 18446744073709551616 1 " ID " n1 why",
		"shoot off 1 1 " ID "0 n1 why",
		"shoot off 1 1 0 n1 why",
		"shoot off  1 1 " ID " n1 why",
		"shoot Off 1 1 " ID " n1 why",
		"shoot cycle 1 1 " ID " n1 why",
		"Shoot off 1 1 " ID " n1 why",
		"shootoff 1 1 " ID " n1 why",
		" shoot off 1 1 " ID " n1 why",
		"mac " ID,
		"hello 1 " ID " 1",
		"shoot off 1 1 " ID " n1 "
		"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
		"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
	};
	struct proxy_wire_request q = {.within = 77}, before = q;
	struct proxy_wire s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		server_greets(&s, &rec);
		assert_int_equal(proxy_wire_take_request(&s, rows[i], &q), -EBADMSG);
		assert_memory_equal(&q, &before, sizeof(q));
		/* And there is no second chance. */
		assert_int_equal(
			proxy_wire_take_request(&s, "shoot off 1 1 " ID " n1 why", &q), -EBADMSG);
	}
	server_greets(&s, &rec);
	assert_int_equal(proxy_wire_take_request(&s, "shoot off 1 3600000 " ID " n1", &q), 0);
	assert_int_equal(proxy_wire_take_request(&s, "mac " ID, &q), -EACCES);
	server_greets(&s, &rec);
	assert_int_equal(proxy_wire_take_request(&s, "shoot off 1 1 " ID " n1 ", &q), 0);
	assert_int_equal(proxy_wire_take_request(&s, "mac " ID "0", &q), -EBADMSG);
}

static void test_bad_victims(void **state)
{
	static const char *const rows[] = {"", " ", "n 1", "n1 ", "n\n1", "n\xc3\xb6"};
	struct proxy_wire_request q = a_request();
	struct proxy_wire s, c;
	struct proxy_wire_answer a;
	char out[2000];

	(void)state;
	server_greets(&s, &rec);
	proxy_wire_init(&c, SECRET);
	assert_int_equal(proxy_wire_request(&c, &q, out), 0); /* before the challenge */
	give_client(&c, rec.hello, rec.hello_len, &a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(q.victim, sizeof(q.victim), "%s", rows[i]);
		assert_int_equal(proxy_wire_request(&c, &q, out), 0);
	}
}

static void test_bad_hellos(void **state)
{
	static const struct {
		const char *line;
		int ret;
	} rows[] = {
		{"hello 1 " ID " 1", PROXY_WIRE_HELLO},
		{"hello 2 " ID " 1", -EPROTO},
		{"hello 2 something else", -EPROTO},
		{"hello 0", -EPROTO},
		{"hello 1 " ID " 1 1", -EBADMSG},
		{"hello 1 " ID, -EBADMSG},
		{"hello 1 00 1", -EBADMSG},
		{"hello", -EBADMSG},
		{"Last login: today", -EBADMSG},
		{"note x", -EBADMSG},
		{"verdict done off 1 0 0 0 text", -EBADMSG},
		{"mac " ID, -EBADMSG},
		{"refused no such caller", PROXY_WIRE_NO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_wire_answer a;
		struct proxy_wire c;
		const char *text;
		uint64_t time;

		proxy_wire_init(&c, SECRET);
		assert_int_equal(proxy_wire_take(&c, rows[i].line, &a, &text, &time), rows[i].ret);
	}
}

static void test_bad_answers(void **state)
{
	static const char *const rows[] = {
		"verdict DONE off 1 0 0 0 t",
		"verdict done OFF 1 0 0 0 t",
		"verdict done 1 0 0 0 t",
		"verdict done off 1 0 0",
		"verdict done off 1 0 2 0 t",
		"verdict done off -1 0 0 0 t",
		"verdict done off 1 0 0 0 \xff",
		"outlet 0 0 0 0 0 0",
		"outlet 0 0 0 0 0 0 ",
		"outlet 9 0 0 0 0 0 a",
		"outlet 0 0 9 0 0 0 a",
		"outlet 0 2147483648 0 0 0 0 a",
		"outlet 0 -2147483649 0 0 0 0 a",
		"outlet 0 --1 0 0 0 0 a",
		"outlet 0 0 0 0 8 0 a",
		"outlet 0 0 0 0 0 2 a",
		"outlet 0 0 0 0 0 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"note \xff",
		"mac " ID,
		"hello 1 " ID " 1",
		"",
	};
	struct proxy_wire s, c;

	(void)state;
	server_greets(&s, &rec);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_wire_answer a = {0};
		const char *text;
		uint64_t time;

		client_asks(&c, &rec, SECRET);
		assert_int_equal(proxy_wire_take(&c, rows[i], &a, &text, &time), -EBADMSG);
		assert_int_equal(proxy_wire_take(&c, "note x", &a, &text, &time), -EBADMSG);
	}
}

static void test_too_many(void **state)
{
	struct proxy_wire s, c;
	struct proxy_wire_answer a = {0};
	const char *text;
	uint64_t time;

	(void)state;
	server_greets(&s, &rec);
	client_asks(&c, &rec, SECRET);
	for (unsigned i = 0; i < PROXY_WIRE_NOTES_MAX; i++)
		assert_int_equal(proxy_wire_take(&c, "note x", &a, &text, &time), PROXY_WIRE_NOTE);
	assert_int_equal(proxy_wire_take(&c, "note x", &a, &text, &time), -EBADMSG);
	client_asks(&c, &rec, SECRET);
	a.outlet_count = 0;
	for (unsigned i = 0; i < FENCE_OUTLETS_MAX; i++)
		assert_int_equal(proxy_wire_take(&c, "outlet 0 0 0 0 0 0 a", &a, &text, &time),
			PROXY_WIRE_MORE);
	assert_int_equal(proxy_wire_take(&c, "outlet 0 0 0 0 0 0 a", &a, &text, &time), -EBADMSG);
}

/* An unproven "no" is taken at any time, and is the end. */
static void test_refusals(void **state)
{
	struct proxy_wire s, c;
	struct proxy_wire_answer a = {0};
	char out[PROXY_WIRE_LINE_MAX + 2], long_text[2000];
	size_t len;

	(void)state;
	server_greets(&s, &rec);
	client_asks(&c, &rec, SECRET);
	memset(long_text, 'w', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = 0;
	memcpy(long_text, "a\nb\x80", 4);
	len = proxy_wire_refusal(long_text, out);
	assert_true(len <= PROXY_WIRE_LINE_MAX + 1);
	assert_int_equal(give_client(&c, out, len, &a), PROXY_WIRE_NO);
	assert_int_equal(give_client(&c, out, len, &a), -EBADMSG);
}

/* Texts of others never make a line of their own. */
static void test_texts(void **state)
{
	struct proxy_wire_answer a = an_answer(1), got;
	struct proxy_wire_request q = a_request(), asked;
	struct proxy_wire s, c;

	(void)state;
	server_greets(&s, &rec);
	proxy_wire_init(&c, SECRET);
	give_client(&c, rec.hello, rec.hello_len, &got);
	memset(q.why, '\n', sizeof(q.why) - 1);
	rec.request_len = proxy_wire_request(&c, &q, rec.request);
	assert_int_equal(give_server(&s, rec.request, rec.request_len, &asked), 1);
	memset(a.text, '\x01', sizeof(a.text) - 1);
	memset(a.outlets[0].name, '\n', sizeof(a.outlets[0].name) - 1);
	a.code = PROXY_WIRE_FAILED;
	rec.answer_len = proxy_wire_answer(&s, &a, rec.answer);
	assert_int_equal(give_client(&c, rec.answer, rec.answer_len, &got), PROXY_WIRE_ANSWERED);
	assert_int_equal(got.code, PROXY_WIRE_FAILED);
	assert_null(strchr(got.text, '\n'));
}

static void test_sense(void **state)
{
	(void)state;
	for (enum outlet_state o = OUTLET_UNKNOWN; o <= OUTLET_FAULT; o++) {
		struct proxy_wire_answer a = an_answer(3);

		a.outlets[1].last = o;
		assert_int_equal(proxy_wire_makes_sense(FENCE_OFF, &a), o == OUTLET_OFF);
		assert_int_equal(proxy_wire_makes_sense(FENCE_CYCLE, &a), o == OUTLET_OFF);
		a.goal = FENCE_ON;
		assert_false(proxy_wire_makes_sense(FENCE_ON, &a));
		a.outlets[0].last = a.outlets[2].last = OUTLET_ON;
		assert_int_equal(proxy_wire_makes_sense(FENCE_ON, &a), o == OUTLET_ON);
		a.goal = FENCE_CYCLE;
		assert_true(proxy_wire_makes_sense(FENCE_CYCLE, &a));
		a.goal = FENCE_OFF;
		a.confirmed = true;
		assert_true(proxy_wire_makes_sense(FENCE_OFF, &a));
	}
}

/* Something else was done than what was asked for. */
static void test_other_goal(void **state)
{
	(void)state;
	for (enum fence_goal asked = FENCE_OFF; asked < FENCE_GOALS; asked++) {
		struct proxy_wire_answer none = an_answer(0);
		enum fence_goal found;

		for (enum fence_goal done = FENCE_OFF; done < FENCE_GOALS; done++) {
			struct proxy_wire_answer a = an_answer(1);
			bool wanted = done == asked || (asked == FENCE_CYCLE && done == FENCE_OFF);

			a.goal = done;
			a.outlets[0].last = done == FENCE_ON ? OUTLET_ON : OUTLET_OFF;
			assert_int_equal(proxy_wire_makes_sense(asked, &a), wanted);
		}
		none.goal = asked;
		assert_false(proxy_wire_makes_sense(asked, &none));
		none.code = PROXY_WIRE_FAILED;
		assert_true(proxy_wire_makes_sense(asked, &none));
		assert_true(proxy_wire_goal(proxy_wire_goal_name(asked), &found));
		assert_int_equal(found, asked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_line_limits),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_flipped_hello),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_other_secret),
		cmocka_unit_test(test_lines_moved),
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_victims),
		cmocka_unit_test(test_bad_hellos),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_sense),
		cmocka_unit_test(test_other_goal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake, rule by rule. A row is what the client sends (tests/lib/script.h), what the
 * server answers (render.h) and how it ends (session.h); each is run whole, byte by byte and in
 * random cuts. The numbers are those of the list of rules every NBD server is held to.
 */
#include "render.h"
#include "script.h"
#include "session.h"
#include "str.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define EXPORT      "EXPORT(1099511628288,d6d)"
#define EXPORT_SR   "EXPORT(1099511628288,ded)"
#define EXPORT_EXT  "EXPORT(1099511628288,1ded)"
#define BLOCK       "BLOCK(1,4096,67108864)"
#define GO          "go:" EXPORT " go:" BLOCK " go:ACK"
#define GO_SR       "go:" EXPORT_SR " go:" BLOCK " go:ACK"
#define INFO        "info:" EXPORT " info:" BLOCK " info:ACK"
#define GO_RO       "go:EXPORT(512,3) go:BLOCK(512,4096,1048576) go:ACK"
#define CONTEXT     "CONTEXT(1,base:allocation)"
#define DASH        "\xe2\x80\x94"
#define DESCRIPTION "a disk " DASH " with words"
#define SET_DISK    "set:disk,base:allocation"
#define SET_ACKED   "set:" CONTEXT " set:ACK"
#define LIST_ALL                                                                                   \
	"list:SERVER(disk|" DESCRIPTION ") list:SERVER(ro) list:SERVER(gone|of a lost disk)"
#define STILL_THERE  " opt77"
#define STILL_ANSWER "opt77:UNSUP"

struct row {
	int rule;
	const char *in, *out, *end;
};

static const struct session_world plain;

static void check_cut(const struct row *row, const struct session_world *world,
	const struct buf *in, enum session_cut cut)
{
	struct session s;
	struct buf text;
	struct rnd rnd;
	char end[128];
	bool ok;

	rnd_init(&rnd, (uint64_t)row->rule);
	session_run(&s, world, buf_bytes(in), buf_len(in), cut, &rnd);
	buf_init(&text, SIZE_MAX / 4);
	ok = render_replies(buf_bytes(&s.out), buf_len(&s.out), &text);
	session_end_text(&s, buf_len(in), end, sizeof(end));
	if (!ok || strcmp((const char *)buf_bytes(&text), row->out) != 0 ||
		strcmp(end, row->end) != 0)
		fail_msg("rule %d, cut %d: %s\n got: %s [%s]\nwant: %s [%s]", row->rule, cut,
			row->in, buf_bytes(&text), end, row->out, row->end);
	assert_true(s.most_memory <= NEG_PAYLOAD_MAX);
	buf_done(&text);
	session_done(&s);
}

static void check_rows(const struct row *rows, size_t count, const struct session_world *world)
{
	for (size_t i = 0; i < count; i++) {
		struct buf in;

		buf_init(&in, SIZE_MAX / 4);
		script_bytes(rows[i].in, &in);
		for (int cut = 0; cut < SESSION_CUTS; cut++)
			check_cut(&rows[i], world, &in, cut);
		buf_done(&in);
	}
}

static void test_greeting_and_flags(void **state)
{
	static const struct row rows[] = {
		/* 2: unknown client flags: close without a reply */
		{2, "f4", "", "CLOSE!"},
		{2, "f80000003 list", "", "CLOSE!"},
		{2, "fffffffff list", "", "CLOSE!"},
		/* 3: every flag we do not offer is such a flag */
		{3, "f100", "", "CLOSE!"},
		{3, "f10003", "", "CLOSE!"},
		/* 4: without the fixed flag only EXPORT_NAME is an option */
		{4, "f0 list", "", "CLOSE!"},
		{4, "f0 opt77+37 name:disk", "", "CLOSE!"},
		{4, "f2 go:disk", "", "CLOSE!"},
		{4, "f2 abort", "", "CLOSE!"},
		{4, "f0 starttls", "", "CLOSE!"},
		{4, "f0 name:disk", "name(1099511628288,d6d,zeros)", "GO 1 simple"},
		{4, "f2 name:disk", "name(1099511628288,d6d)", "GO 1 simple"},
		/* 5: wrong option magic */
		{5, "f3 hex:49484156454f5055000000030000000000", "", "CLOSE!"},
		{5, "f3 list hex:49484156454f5053000000030000000000", LIST_ALL " list:ACK",
			"CLOSE!"},
		{5, "f3 hex:0003e889045565a90000000300000000", "", "CLOSE!"},
		/* 6: in pieces or pipelined (every row here is), also with a request behind GO */
		{6, "f3 sr list go:disk hex:2560951300", "sr:ACK " LIST_ALL " list:ACK " GO_SR,
			"GO 1 structured, 5 left"},
		{6, "", "", "MORE"},
		{6, "f3", "", "MORE"},
		{6, "f3 hex:4948", "", "MORE"},
		{6, "f3 hex:49484156454f50540000000700000006", "", "MORE"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_unknown_and_too_long(void **state)
{
	static const struct row rows[] = {
		/* 10: unknown options, with and without data */
		{10, "f3 opt77+37 list", "opt77:UNSUP " LIST_ALL " list:ACK", "MORE"},
		{10, "f3 opt0 opt4+9 opt12 opt4294967295+65536 abort",
			"opt0:UNSUP opt4:UNSUP opt12:UNSUP opt4294967295:UNSUP abort:ACK", "CLOSE"},
		/* 11: beyond the limit: skipped, never stored */
		{11, "f3 opt77+65537 opt77", "opt77:UNSUP opt77:UNSUP", "MORE"},
		{11, "f3 opt77+1048576 go:disk", "opt77:UNSUP " GO, "GO 1 simple"},
		{11, "f3 list+65537 info:+70000 go:disk+65536 set:disk+99999" STILL_THERE,
			"list:TOO_BIG info:TOO_BIG go:TOO_BIG set:TOO_BIG " STILL_ANSWER, "MORE"},
		{11, "f3 sr+65537 go:disk", "sr:TOO_BIG " GO, "GO 1 simple"},
		{11, "f3 ext+65537 go:disk", "ext:TOO_BIG " GO, "GO 1 simple"},
		{11, "f3 hex:49484156454f505400000006ffffffff0001020304", "", "MORE"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_abort_and_list(void **state)
{
	static const struct row rows[] = {
		/* 13, 14: ABORT is acknowledged, its data ignored, nothing behind it is read */
		{13, "f3 abort", "abort:ACK", "CLOSE"},
		{13, "f3 sr abort go:disk", "sr:ACK abort:ACK", "CLOSE"},
		{14, "f3 abort+12", "abort:ACK", "CLOSE"},
		{14, "f3 abort+65536", "abort:ACK", "CLOSE"},
		{14, "f3 abort+70000 list", "abort:ACK", "CLOSE"},
		/* 16, 18: LIST, again and again */
		{16, "f3 list", LIST_ALL " list:ACK", "MORE"},
		{18, "f3 list list", LIST_ALL " list:ACK " LIST_ALL " list:ACK", "MORE"},
		/* 17: LIST takes no data */
		{17, "f3 list+1" STILL_THERE, "list:INVALID " STILL_ANSWER, "MORE"},
		{17, "f3 list+65536 list", "list:INVALID " LIST_ALL " list:ACK", "MORE"},
		/* 39: no TLS, and never TLS_REQD (the reader of replies does not know it) */
		{39, "f3 starttls" STILL_THERE, "starttls:UNSUP " STILL_ANSWER, "MORE"},
		{39, "f3 starttls+5" STILL_THERE, "starttls:INVALID " STILL_ANSWER, "MORE"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_info_and_go(void **state)
{
	static const struct row rows[] = {
		/* 20, 21: INFO tells the truth, and the same as GO */
		{20, "f3 info:disk" STILL_THERE, INFO " " STILL_ANSWER, "MORE"},
		{21, "f3 info:disk,0,3 go:disk,0,3", INFO " " GO, "GO 1 simple"},
		{21, "f3 go:ro", GO_RO, "GO 2 simple"},
		/* 22: an unknown name, the session goes on */
		{22, "f3 go:nothing info:nothing go:disk", "go:UNKNOWN info:UNKNOWN " GO,
			"GO 1 simple"},
		{22, "f3 go:dis go:disk2 go:Disk go:disk", "go:UNKNOWN go:UNKNOWN go:UNKNOWN " GO,
			"GO 1 simple"},
		/* 23 - 26: lengths that do not add up */
		{23, "f3 go info go+1 go+5" STILL_THERE,
			"go:INVALID info:INVALID go:INVALID go:INVALID " STILL_ANSWER, "MORE"},
		{24, "f3 go:disk-1 info:disk-3 go:disk-5" STILL_THERE,
			"go:INVALID info:INVALID go:INVALID " STILL_ANSWER, "MORE"},
		{24, "f3 hex:49484156454f50540000000700000006ffffffff0000" STILL_THERE,
			"go:INVALID " STILL_ANSWER, "MORE"},
		{24, "f3 hex:49484156454f50540000000700000006000000010000" STILL_THERE,
			"go:INVALID " STILL_ANSWER, "MORE"},
		{25, "f3 go:disk,0,3-2 info:disk,1-1" STILL_THERE,
			"go:INVALID info:INVALID " STILL_ANSWER, "MORE"},
		{25, "f3 hex:49484156454f5054000000070000000800000000ffff0000" STILL_THERE,
			"go:INVALID " STILL_ANSWER, "MORE"},
		{26, "f3 go:disk+1 go:disk,0+2 go:disk", "go:INVALID go:INVALID " GO,
			"GO 1 simple"},
		/* 30 - 32: unknown and repeated requests, none at all */
		{30, "f3 go:disk,30583,3,3,0,0,65535", GO, "GO 1 simple"},
		{30, "f3 info:disk,1,1,2,2,1",
			"info:" EXPORT " info:NAME(disk) info:DESC(" DESCRIPTION ") info:" BLOCK
			" info:ACK",
			"MORE"},
		{31, "f3 info:ro,1,2",
			"info:EXPORT(512,3) info:NAME(ro) "
			"info:BLOCK(512,4096,1048576) info:ACK",
			"MORE"},
		{31, "f3 info:disk,1 go:disk",
			"info:" EXPORT " info:NAME(disk) info:" BLOCK " info:ACK " GO,
			"GO 1 simple"},
		{32, "f3 go:disk", GO, "GO 1 simple"},
		/* 33: no zeros after GO, whatever the flags */
		{33, "f1 go:disk", GO, "GO 1 simple"},
		/* 36: known, but cannot be served */
		{36, "f3 go:gone info:gone go:ro", "go:POLICY info:POLICY " GO_RO, "GO 2 simple"},
		/* the default export, by its empty and its own name */
		{50, "f3 go:", GO, "GO 1 simple"},
		{50, "f3 go:,1", "go:" EXPORT " go:NAME(disk) go:" BLOCK " go:ACK", "GO 1 simple"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_names(void **state)
{
	static const struct row rows[] = {
		/* 27: 4096 bytes are a name, 4097 are not */
		{27, "f3 go:~4096 info:~4096" STILL_THERE, "go:UNKNOWN info:UNKNOWN " STILL_ANSWER,
			"MORE"},
		{27, "f3 go:~4097 info:~65530 go:disk", "go:INVALID info:INVALID " GO,
			"GO 1 simple"},
		{27, "f3 sr set:~4096 lm:~4097" STILL_THERE,
			"sr:ACK set:UNKNOWN lm:INVALID " STILL_ANSWER, "MORE"},
		/* 28: a zero byte is not the end of a name */
		{28, "f3 go:disk^ go:^disk info:disk^x" STILL_THERE,
			"go:INVALID go:INVALID info:INVALID " STILL_ANSWER, "MORE"},
		{28, "f3 name:disk^", "", "CLOSE!"},
		{28, "f3 sr set:disk^,base:allocation go:disk", "sr:ACK set:INVALID " GO_SR,
			"GO 1 structured"},
		/* 29: no UTF-8: overlong, surrogate, cut, above U+10FFFF */
		{29, "f3 go:\xff go:\xc0\x80 go:\xed\xa0\x80 go:di\xe2\x82 go:\xf4\x90\x80\x80",
			"go:INVALID go:INVALID go:INVALID go:INVALID go:INVALID", "MORE"},
		{29, "f3 go:\xe2\x82\xac", "go:UNKNOWN", "MORE"},
		{29, "f3 name:\xff", "", "CLOSE!"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_export_name(void **state)
{
	static const struct row rows[] = {
		/* 34: 10 or 134 bytes */
		{34, "f3 name:disk", "name(1099511628288,d6d)", "GO 1 simple"},
		{34, "f1 name:disk", "name(1099511628288,d6d,zeros)", "GO 1 simple"},
		{34, "f3 name:", "name(1099511628288,d6d)", "GO 1 simple"},
		{34, "f3 list name:ro hex:25609513", LIST_ALL " list:ACK name(512,3)",
			"GO 2 simple, 4 left"},
		{34, "f3 sr name:disk", "sr:ACK name(1099511628288,ded)", "GO 1 structured"},
		/* 35: unknown: close without a byte */
		{35, "f3 name:nothing go:disk", "", "CLOSE!"},
		{35, "f0 name:disk2", "", "CLOSE!"},
		{35, "f3 name:~4096", "", "CLOSE!"},
		{35, "f3 name:~4097", "", "CLOSE!"},
		{35, "f3 name:~70000", "", "CLOSE!"},
		/* 36: cannot be served: close */
		{36, "f3 name:gone", "", "CLOSE!"},
		/* extended headers need GO */
		{51, "f3 ext name:disk", "ext:ACK", "CLOSE!"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_structured_and_extended(void **state)
{
	static const struct row rows[] = {
		/* 40: with data: refused and not enabled */
		{40, "f3 sr+1 go:disk", "sr:INVALID " GO, "GO 1 simple"},
		{40, "f3 sr sr+65536 go:disk", "sr:ACK sr:INVALID " GO_SR, "GO 1 structured"},
		/* 41: DF follows structured replies, in INFO too */
		{41, "f3 info:disk sr info:disk go:disk",
			INFO " sr:ACK info:" EXPORT_SR " info:" BLOCK " info:ACK " GO_SR,
			"GO 1 structured"},
		/* 42: twice */
		{42, "f3 sr sr go:disk", "sr:ACK sr:ACK " GO_SR, "GO 1 structured"},
		/* 51: extended headers */
		{51, "f3 ext go:disk", "ext:ACK go:" EXPORT_EXT " go:" BLOCK " go:ACK",
			"GO 1 structured,extended"},
		{51, "f3 ext+8 go:disk", "ext:INVALID " GO, "GO 1 simple"},
		{51, "f3 ext ext sr sr+1 go:disk",
			"ext:ACK ext:INVALID sr:EXT_HEADER_REQD sr:INVALID go:" EXPORT_EXT
			" go:" BLOCK " go:ACK",
			"GO 1 structured,extended"},
		{51, "f3 sr ext " SET_DISK " go:disk",
			"sr:ACK ext:ACK " SET_ACKED " go:" EXPORT_EXT " go:" BLOCK " go:ACK",
			"GO 1 structured,extended,base:allocation"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_list_meta(void **state)
{
	static const struct row rows[] = {
		/* 43: none = all, a whole namespace, one leaf, unknown ones; ids are 0 */
		{43, "f3 sr lm:disk", "sr:ACK lm:CONTEXT(0,base:allocation) lm:ACK", "MORE"},
		{43, "f3 sr lm:disk,base:", "sr:ACK lm:CONTEXT(0,base:allocation) lm:ACK", "MORE"},
		{43, "f3 sr lm:disk,base:allocation", "sr:ACK lm:CONTEXT(0,base:allocation) lm:ACK",
			"MORE"},
		{43, "f3 sr lm:disk,x:,y:z,base:allocatio,base,basE: lm:disk,",
			"sr:ACK lm:ACK lm:ACK", "MORE"},
		/* 44, 45: the export must exist, structured replies come first */
		{44, "f3 sr lm:nothing lm:nothing,base: lm:disk^",
			"sr:ACK lm:UNKNOWN lm:UNKNOWN lm:INVALID", "MORE"},
		{45, "f3 lm:disk lm" STILL_THERE, "lm:INVALID lm:INVALID " STILL_ANSWER, "MORE"},
		/* 47: once, however often it is asked for */
		{47, "f3 sr lm:disk,base:,base:allocation,base:",
			"sr:ACK lm:CONTEXT(0,base:allocation) lm:ACK", "MORE"},
		/* 48: lengths */
		{48, "f3 sr lm lm:disk-1 lm:disk,base:-1 lm:disk+1" STILL_THERE,
			"sr:ACK lm:INVALID lm:INVALID lm:INVALID lm:INVALID " STILL_ANSWER, "MORE"},
		{48, "f3 sr lm:disk,~4096 lm:disk,~4097", "sr:ACK lm:ACK lm:INVALID", "MORE"},
		/* LIST leaves the selection alone */
		{49, "f3 sr " SET_DISK " lm:ro lm go:disk",
			"sr:ACK " SET_ACKED
			" lm:CONTEXT(0,base:allocation) lm:ACK lm:INVALID " GO_SR,
			"GO 1 structured,base:allocation"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

static void test_set_meta(void **state)
{
	static const struct row rows[] = {
		/* 44, 45: the export must exist, structured replies come first */
		{44, "f3 sr set:nothing,base:allocation go:disk", "sr:ACK set:UNKNOWN " GO_SR,
			"GO 1 structured"},
		{45, "f3 " SET_DISK " sr go:disk", "set:INVALID sr:ACK " GO_SR, "GO 1 structured"},
		{45, "f3 " SET_DISK " go:disk", "set:INVALID " GO, "GO 1 simple"},
		/* 46: no query, the bare namespace, unknown leaves: nothing selected */
		{46, "f3 sr set:disk set:disk,base: set:disk,base:x,qemu:allocation go:disk",
			"sr:ACK set:ACK set:ACK set:ACK " GO_SR, "GO 1 structured"},
		{46, "f3 sr set:disk,a:b,base:allocation go:disk", "sr:ACK " SET_ACKED " " GO_SR,
			"GO 1 structured,base:allocation"},
		/* 47: once */
		{47, "f3 sr set:disk,base:allocation,base:allocation go:disk",
			"sr:ACK " SET_ACKED " " GO_SR, "GO 1 structured,base:allocation"},
		/* 48: lengths and counts */
		{48, "f3 sr set set:disk-1 set:disk,base:allocation-1 " SET_DISK "+4" STILL_THERE,
			"sr:ACK set:INVALID set:INVALID set:INVALID set:INVALID " STILL_ANSWER,
			"MORE"},
		{48, "f3 sr hex:49484156454f50540000000a0000000800000000ffffffff" STILL_THERE,
			"sr:ACK set:INVALID " STILL_ANSWER, "MORE"},
		{48, "f3 sr hex:49484156454f50540000000a0000000c0000000000000001ffffffff" STILL_THERE,
			"sr:ACK set:INVALID " STILL_ANSWER, "MORE"},
		/* 49: any later SET, also one that fails, voids the selection */
		{49, "f3 sr " SET_DISK " set:disk go:disk", "sr:ACK " SET_ACKED " set:ACK " GO_SR,
			"GO 1 structured"},
		{49, "f3 sr " SET_DISK " set:nothing go:disk",
			"sr:ACK " SET_ACKED " set:UNKNOWN " GO_SR, "GO 1 structured"},
		{49, "f3 sr " SET_DISK " set+3 go:disk", "sr:ACK " SET_ACKED " set:INVALID " GO_SR,
			"GO 1 structured"},
		{49, "f3 sr " SET_DISK " " SET_DISK "+65536 go:disk",
			"sr:ACK " SET_ACKED " set:TOO_BIG " GO_SR, "GO 1 structured"},
		{49, "f3 sr " SET_DISK " go:nothing go:disk",
			"sr:ACK " SET_ACKED " go:UNKNOWN " GO_SR,
			"GO 1 structured,base:allocation"},
		/* 50: chosen for one export, used with another; "" and "disk" are one export */
		{50, "f3 sr " SET_DISK " go:ro",
			"sr:ACK " SET_ACKED " go:EXPORT(512,83)"
			" go:BLOCK(512,4096,1048576) go:ACK",
			"GO 2 structured"},
		{50, "f3 sr " SET_DISK " go:", "sr:ACK " SET_ACKED " " GO_SR,
			"GO 1 structured,base:allocation"},
		{50, "f3 sr set:,base:allocation name:disk",
			"sr:ACK " SET_ACKED " name(1099511628288,ded)",
			"GO 1 structured,base:allocation"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows), &plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greeting_and_flags),
		cmocka_unit_test(test_unknown_and_too_long),
		cmocka_unit_test(test_abort_and_list),
		cmocka_unit_test(test_info_and_go),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_export_name),
		cmocka_unit_test(test_structured_and_extended),
		cmocka_unit_test(test_list_meta),
		cmocka_unit_test(test_set_meta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request_check against a second description of the same rules: every command with every set of
 * flags in every mode, and a table of ranges. Rule numbers are those of the project's NBD list.
 */
#include "request.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { FLAGS_ALL = 0x7f, SIZE = 1 << 20 };

static const uint16_t ANNOUNCED = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
	NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_CACHE |
	NBD_FLAG_SEND_FAST_ZERO;

static const struct features modes[] = {
	{false, false, false},
	{true, false, false},
	{true, false, true},
	{true, true, false},
	{true, true, true},
};

static const uint16_t exports[] = {
	ANNOUNCED,
	ANNOUNCED &(uint16_t)~NBD_FLAG_SEND_FUA,
	ANNOUNCED &(uint16_t)~NBD_FLAG_SEND_FAST_ZERO,
	ANNOUNCED &(uint16_t)~NBD_FLAG_SEND_TRIM,
	NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA,
	NBD_FLAG_HAS_FLAGS,
};

static struct request_rules rules_for(uint16_t flags, const struct features *agreed)
{
	return (struct request_rules){.size = SIZE,
		.flags = flags,
		.block_min = 1,
		.block_max = REQUEST_PAYLOAD_MAX,
		.agreed = *agreed};
}

static int check(const struct nbd_request *rq, const struct request_rules *rules)
{
	const char *text = "untouched";
	int error = request_check(rq, rules, &text);

	if (error)
		assert_true(text && text[0] && strlen(text) <= REQUEST_TEXT_MAX);
	else
		assert_null(text);
	return error;
}

/* May the client set this one flag (rules 66-69)? */
static bool flag_allowed(uint16_t flag, unsigned type, const struct request_rules *r)
{
	switch (flag) {
	case NBD_CMD_FLAG_FUA:
		return r->flags & NBD_FLAG_SEND_FUA;
	case NBD_CMD_FLAG_NO_HOLE:
		return type == NBD_CMD_WRITE_ZEROES;
	case NBD_CMD_FLAG_DF:
		return type == NBD_CMD_READ && r->agreed.structured;
	case NBD_CMD_FLAG_REQ_ONE:
		return type == NBD_CMD_BLOCK_STATUS;
	case NBD_CMD_FLAG_FAST_ZERO:
		return type == NBD_CMD_WRITE_ZEROES && (r->flags & NBD_FLAG_SEND_FAST_ZERO);
	case NBD_CMD_FLAG_PAYLOAD_LEN:
		return r->agreed.extended &&
			(type == NBD_CMD_WRITE || type == NBD_CMD_BLOCK_STATUS);
	default:
		return false;
	}
}

static bool is_announced(unsigned type, const struct request_rules *r)
{
	switch (type) {
	case NBD_CMD_FLUSH:
		return r->flags & NBD_FLAG_SEND_FLUSH;
	case NBD_CMD_TRIM:
		return r->flags & NBD_FLAG_SEND_TRIM;
	case NBD_CMD_CACHE:
		return r->flags & NBD_FLAG_SEND_CACHE;
	case NBD_CMD_WRITE_ZEROES:
		return r->flags & NBD_FLAG_SEND_WRITE_ZEROES;
	case NBD_CMD_BLOCK_STATUS:
		return r->agreed.allocation;
	default:
		return true;
	}
}

static int expected(const struct nbd_request *rq, const struct request_rules *r)
{
	bool writes = rq->type == NBD_CMD_WRITE || rq->type == NBD_CMD_TRIM ||
		rq->type == NBD_CMD_WRITE_ZEROES;

	if (rq->type >= NBD_CMD_COUNT)
		return EINVAL;
	if (rq->type == NBD_CMD_DISC)
		return 0;
	for (uint16_t bit = 1; bit <= FLAGS_ALL; bit = (uint16_t)(bit << 1)) {
		if ((rq->flags & bit) && !flag_allowed(bit, rq->type, r))
			return EINVAL;
	}
	if (rq->type == NBD_CMD_WRITE && r->agreed.extended &&
		!(rq->flags & NBD_CMD_FLAG_PAYLOAD_LEN))
		return EINVAL;
	if (writes && (r->flags & NBD_FLAG_READ_ONLY))
		return EPERM;
	return is_announced(rq->type, r) ? 0 : EINVAL;
}

static void check_flags_of(unsigned type, struct request_rules *rules)
{
	for (unsigned flags = 0; flags <= FLAGS_ALL; flags++) {
		struct nbd_request rq = {(uint16_t)flags, (uint16_t)type, 1, 512, 512};
		int got = check(&rq, rules), want = expected(&rq, rules);

		if (got != want)
			fail_msg("command %u flags %#x: %d, expected %d", type, flags, got, want);
	}
}

static void test_every_command_flag_and_mode(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
		for (size_t e = 0; e < ARRAY_LEN(exports); e++) {
			struct request_rules rules = rules_for(exports[e], &modes[m]);

			for (unsigned type = 0; type < 12; type++)
				check_flags_of(type, &rules);
		}
	}
}

static void test_high_flag_bits(void **state)
{
	(void)state;
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		struct request_rules rules = rules_for(ANNOUNCED, &modes[2]);

		for (int bit = 6; bit < 16; bit++) {
			struct nbd_request rq = {(uint16_t)(1u << bit), (uint16_t)type, 1, 0, 512};

			assert_int_equal(check(&rq, &rules), type == NBD_CMD_DISC ? 0 : EINVAL);
		}
	}
}

static const struct {
	uint64_t offset, length;
	bool inside;
} ranges[] = {
	{0, 1, true},
	{0, SIZE, true},
	{SIZE - 1, 1, true},
	{SIZE, 0, true},
	{0, 0, true},
	{SIZE, 1, false},
	{SIZE + 1, 0, false},
	{SIZE - 1, 2, false},
	{0, SIZE + 1, false},
	{1, UINT32_MAX, false},
	{UINT64_MAX, 0, false},
	{UINT64_MAX, 1, false},
	{UINT64_MAX - 511, 1024, false},
	{UINT64_MAX - 511, 512, false},
	{1, UINT64_MAX, false},
	{512, UINT64_MAX - 511, false},
	{1ULL << 63, 1ULL << 63, false},
};

/* Rules 70 and 71. */
static void test_ranges(void **state)
{
	static const struct {
		unsigned type;
		int beyond;
	} rows[] = {{NBD_CMD_READ, EINVAL}, {NBD_CMD_WRITE, ENOSPC}, {NBD_CMD_TRIM, EINVAL},
		{NBD_CMD_CACHE, EINVAL}, {NBD_CMD_WRITE_ZEROES, ENOSPC},
		{NBD_CMD_BLOCK_STATUS, EINVAL}};
	struct request_rules rules = rules_for(ANNOUNCED, &modes[2]);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(ranges); i++) {
		size_t row = i / ARRAY_LEN(ranges), at = i % ARRAY_LEN(ranges);
		struct nbd_request rq = {
			0, (uint16_t)rows[row].type, 1, ranges[at].offset, ranges[at].length};
		int want = ranges[at].inside ? 0 : rows[row].beyond;

		if (rq.type == NBD_CMD_BLOCK_STATUS && rq.length == 0)
			want = EINVAL; /* rule 102: any answer but a chunk without extents */
		assert_int_equal(check(&rq, &rules), want);
	}
}

/* Rule 75: offset and length of FLUSH mean nothing. */
static void test_flush_has_no_range(void **state)
{
	struct request_rules rules = rules_for(ANNOUNCED, &modes[0]);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct nbd_request rq = {0, NBD_CMD_FLUSH, 1, ranges[i].offset, ranges[i].length};

		assert_int_equal(check(&rq, &rules), 0);
	}
}

/* Rule 72: the export being read-only is the first thing a writer hears. */
static void test_read_only_before_range(void **state)
{
	static const uint16_t types[] = {NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES};
	struct request_rules rules = rules_for(exports[4], &modes[0]);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types) * ARRAY_LEN(ranges); i++) {
		size_t at = i % ARRAY_LEN(ranges);
		struct nbd_request rq = {
			0, types[i / ARRAY_LEN(ranges)], 1, ranges[at].offset, ranges[at].length};

		assert_int_equal(check(&rq, &rules), EPERM);
	}
}

static int check_length(unsigned type, uint16_t flags, uint64_t length, const struct features *mode)
{
	struct request_rules rules = rules_for(ANNOUNCED, mode);
	struct nbd_request rq = {flags, (uint16_t)type, 1, 0, length};

	rules.size = 1ULL << 40;
	return check(&rq, &rules);
}

/* Rules 76 to 78. */
static void test_longest(void **state)
{
	const uint64_t max = REQUEST_PAYLOAD_MAX, huge = 1ULL << 39;
	const uint16_t df = NBD_CMD_FLAG_DF, payload = NBD_CMD_FLAG_PAYLOAD_LEN;

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
		const struct features *mode = &modes[m];
		int too_long = mode->extended ? EOVERFLOW : EINVAL;

		assert_int_equal(check_length(NBD_CMD_READ, 0, max, mode), 0);
		assert_int_equal(check_length(NBD_CMD_READ, 0, max + 1, mode), too_long);
		assert_int_equal(check_length(NBD_CMD_READ, 0, huge, mode), too_long);
		if (mode->structured)
			assert_int_equal(check_length(NBD_CMD_READ, df, max + 1, mode), EOVERFLOW);
		assert_int_equal(
			check_length(NBD_CMD_WRITE, mode->extended ? payload : 0, max, mode), 0);
		assert_int_equal(
			check_length(NBD_CMD_WRITE, mode->extended ? payload : 0, max + 1, mode),
			EINVAL);
		for (unsigned type = NBD_CMD_TRIM; type <= NBD_CMD_WRITE_ZEROES; type++)
			assert_int_equal(check_length(type, 0, huge, mode), 0);
	}
	assert_int_equal(check_length(NBD_CMD_BLOCK_STATUS, 0, huge, &modes[4]), 0);
}

/* The payload form: the length counts the payload, nothing of it is known yet. */
static void test_status_payload(void **state)
{
	const uint16_t payload = NBD_CMD_FLAG_PAYLOAD_LEN;

	(void)state;
	assert_int_equal(check_length(NBD_CMD_BLOCK_STATUS, payload, 12, &modes[4]), 0);
	assert_int_equal(
		check_length(NBD_CMD_BLOCK_STATUS, payload, REQUEST_STATUS_BYTES, &modes[4]), 0);
	assert_int_equal(
		check_length(NBD_CMD_BLOCK_STATUS, payload, REQUEST_STATUS_BYTES + 1, &modes[4]),
		EINVAL);
	assert_int_equal(check_length(NBD_CMD_BLOCK_STATUS, payload, 0, &modes[4]), EINVAL);
	assert_int_equal(check_length(NBD_CMD_BLOCK_STATUS, payload, 12, &modes[3]), EINVAL);
}

/* Rule 79. */
static void test_alignment(void **state)
{
	struct request_rules rules = rules_for(ANNOUNCED, &modes[2]);

	(void)state;
	rules.block_min = 512;
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		bool ranged = type != NBD_CMD_DISC && type != NBD_CMD_FLUSH;

		for (int bad = 0; bad < 4; bad++) {
			struct nbd_request rq = {
				0, (uint16_t)type, 1, bad & 1 ? 513 : 512, bad & 2 ? 1000 : 1024};

			assert_int_equal(check(&rq, &rules), bad && ranged ? EINVAL : 0);
		}
	}
}

/* What a server may choose instead of 64 MiB: for payloads, nothing else has one. */
static void test_block_max(void **state)
{
	struct request_rules rules = rules_for(ANNOUNCED, &modes[2]);

	(void)state;
	rules.block_max = 4096;
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		bool moves = type == NBD_CMD_READ || type == NBD_CMD_WRITE;
		struct nbd_request fits = {0, (uint16_t)type, 1, 512, 4096};
		struct nbd_request longer = {0, (uint16_t)type, 1, 512, 4097};

		assert_int_equal(check(&fits, &rules), 0);
		assert_int_equal(check(&longer, &rules), moves ? EINVAL : 0);
	}
}

/* The export has become shorter since they were checked. */
static void test_beyond(void **state)
{
	const char *text = NULL;

	(void)state;
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		struct nbd_request rq = {0, (uint16_t)type, 1, 1000, 24};
		struct request_rules rules = rules_for(ANNOUNCED, &modes[2]);
		int want;

		rules.size = 1023;
		want = type == NBD_CMD_DISC || type == NBD_CMD_FLUSH ? 0 : check(&rq, &rules);
		assert_int_equal(request_beyond(&rq, 1024, &text), 0);
		assert_int_equal(request_beyond(&rq, 1023, &text), want);
		assert_int_equal(!!text, !!want);
		text = NULL;
	}
}

static void test_payload_bytes(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 10; type++) {
		struct nbd_request plain = {0, (uint16_t)type, 1, 0, 100};
		struct nbd_request with = {
			NBD_CMD_FLAG_PAYLOAD_LEN, (uint16_t)type, 1, 0, 1ULL << 40};

		assert_true(request_payload(&plain, false) == (type == NBD_CMD_WRITE ? 100 : 0));
		assert_true(request_payload(&plain, true) == 0);
		assert_true(request_payload(&with, true) == 1ULL << 40);
	}
}

static void test_buffer_bytes(void **state)
{
	(void)state;
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		struct nbd_request rq = {0, (uint16_t)type, 1, 0, 12345};
		size_t want = 0;

		if (type == NBD_CMD_READ || type == NBD_CMD_WRITE)
			want = 12345;
		if (type == NBD_CMD_BLOCK_STATUS)
			want = REQUEST_STATUS_BYTES;
		assert_int_equal(request_buffer(&rq), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_command_flag_and_mode),
		cmocka_unit_test(test_high_flag_bits),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_flush_has_no_range),
		cmocka_unit_test(test_read_only_before_range),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_status_payload),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_block_max),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_payload_bytes),
		cmocka_unit_test(test_buffer_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

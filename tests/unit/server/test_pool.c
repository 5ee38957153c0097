/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The buddy allocator against a model: alignment, no overlap, limits, coalescing back to full. */
#include "pool.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20, LIMIT = 256 * MIB, HELD_MAX = 600, STEPS = 60000 };

struct held {
	uint8_t *p;
	size_t len;
	uint8_t mark;
};

static void test_cost(void **state)
{
	(void)state;
	assert_int_equal(pool_cost(1), 4096);
	assert_int_equal(pool_cost(4096), 4096);
	assert_int_equal(pool_cost(4097), 8192);
	assert_int_equal(pool_cost(3 * MIB), 4 * MIB);
	assert_int_equal(pool_cost(POOL_BUFFER_MAX), POOL_BUFFER_MAX);
}

/* The whole pool is free again exactly if it has come together to runs of the largest size. */
static void check_full(struct pool *p)
{
	size_t runs = 0;

	assert_int_equal(p->used, 0);
	for (uint32_t n = p->free[POOL_ORDERS - 1]; n; n = p->pages[n - 1].next)
		runs++;
	assert_int_equal(runs, p->bytes / POOL_BUFFER_MAX);
}

/* Long buffers leave a quarter of the limit to short ones. */
static void test_reserve(void **state)
{
	struct pool p;
	uint8_t *held[3], *last;

	(void)state;
	assert_int_equal(pool_init(&p, 4 * (size_t)POOL_BUFFER_MAX), 0);
	for (int i = 0; i < 3; i++)
		assert_non_null(held[i] = pool_get(&p, POOL_BUFFER_MAX));
	assert_null(pool_get(&p, POOL_BUFFER_MAX));
	assert_null(pool_get(&p, POOL_SHORT + 1));
	assert_non_null(last = pool_get(&p, POOL_SHORT));
	pool_put(&p, last);
	for (int i = 0; i < 3; i++)
		pool_put(&p, held[i]);
	check_full(&p);
	pool_done(&p);
}

static void check_place(
	const struct pool *p, const struct held *held, size_t count, const struct held *fresh)
{
	assert_int_equal((size_t)(fresh->p - p->base) % POOL_PAGE, 0);
	assert_true(fresh->p >= p->base && fresh->p + pool_cost(fresh->len) <= p->base + p->bytes);
	for (size_t i = 0; i < count; i++) {
		const struct held *h = &held[i];

		assert_true(fresh->p + pool_cost(fresh->len) <= h->p ||
			h->p + pool_cost(h->len) <= fresh->p);
	}
}

/* Marks at both ends of what was asked for: whoever writes there too is found. */
static void mark(struct held *h, uint8_t value)
{
	h->mark = value;
	h->p[0] = h->p[h->len - 1] = value;
}

static void give_back(struct pool *p, struct held *held, size_t *count, size_t i, size_t *used)
{
	struct held *h = &held[i];

	assert_int_equal(h->p[0], h->mark);
	assert_int_equal(h->p[h->len - 1], h->mark);
	*used -= pool_cost(h->len);
	pool_put(p, h->p);
	*h = held[--*count];
}

static size_t random_length(struct rnd *r)
{
	size_t top = (size_t)1 << rnd_below(r, 25);

	return 1 + (size_t)rnd_below(r, top);
}

static void take(struct pool *p, struct held *held, size_t *count, size_t *used, struct rnd *r)
{
	struct held h = {.len = random_length(r)};

	h.p = pool_get(p, h.len);
	if (!h.p) {
		/* Refused by the limit, or because the free memory is in pieces. */
		assert_true(*used > 0);
		return;
	}
	check_place(p, held, *count, &h);
	*used += pool_cost(h.len);
	mark(&h, (uint8_t)rnd_next(r));
	held[(*count)++] = h;
}

static void test_random_against_a_model(void **state)
{
	static struct held held[HELD_MAX];
	struct pool p;
	struct rnd r;
	size_t count = 0, used = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rnd_seed());
	rnd_init(&r, 1);
	assert_int_equal(pool_init(&p, LIMIT), 0);
	for (int i = 0; i < STEPS; i++) {
		bool filling = i / 3000 % 2 == 0;

		if (count < HELD_MAX && (count == 0 || rnd_below(&r, 10) < (filling ? 7 : 3)))
			take(&p, held, &count, &used, &r);
		else
			give_back(&p, held, &count, (size_t)rnd_below(&r, count), &used);
		assert_int_equal(p.used, used);
		assert_true(p.used <= LIMIT);
	}
	while (count > 0)
		give_back(&p, held, &count, (size_t)rnd_below(&r, count), &used);
	check_full(&p);
	pool_done(&p);
}

static void test_smallest_fill_everything(void **state)
{
	static uint8_t *all[LIMIT / POOL_PAGE];
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, LIMIT), 0);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i] = pool_get(&p, 1);
		assert_non_null(all[i]);
	}
	assert_null(pool_get(&p, 1));
	for (size_t i = 0; i < ARRAY_LEN(all); i += 2)
		pool_put(&p, all[i]);
	assert_null(pool_get(&p, 2 * POOL_PAGE)); /* half is free, but no two pages side by side */
	for (size_t i = 1; i < ARRAY_LEN(all); i += 2)
		pool_put(&p, all[i]);
	check_full(&p);
	pool_done(&p);
}

static void test_limits(void **state)
{
	struct pool p;
	uint8_t *a, *b;

	(void)state;
	assert_int_equal(pool_init(&p, 3 * POOL_PAGE), 0);
	a = pool_get(&p, 2 * POOL_PAGE);
	assert_non_null(a);
	assert_null(pool_get(&p, 2 * POOL_PAGE));
	b = pool_get(&p, POOL_PAGE);
	assert_non_null(b);
	assert_null(pool_get(&p, 1));
	pool_put(&p, a);
	pool_put(&p, b);
	a = pool_get(&p, POOL_BUFFER_MAX); /* one buffer is always possible */
	assert_non_null(a);
	assert_null(pool_get(&p, 1));
	pool_put(&p, a);
	assert_null(pool_get(&p, (size_t)POOL_BUFFER_MAX + 1));
	pool_done(&p);
}

/* Trimming forgets the content of free memory, never of buffers handed out. */
static void test_trim(void **state)
{
	struct pool p;
	uint8_t *a;

	(void)state;
	assert_int_equal(pool_init(&p, LIMIT), 0);
	pool_trim(&p);
	a = pool_get(&p, 2 * MIB);
	memset(a, 0x5a, 2 * MIB);
	pool_trim(&p);
	for (size_t i = 0; i < 2 * MIB; i += POOL_PAGE)
		assert_int_equal(a[i], 0x5a);
	pool_put(&p, a);
	pool_trim(&p);
	assert_int_equal(a[MIB], 0);
	check_full(&p);
	pool_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_random_against_a_model),
		cmocka_unit_test(test_smallest_fill_everything),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names, errors and sums; conn*.c counts, worker_stats.c adds up. */
#include "tally.h"

#include "util.h"

static const struct {
	uint32_t number; /* on the wire */
	const char *name;
} errors[TALLY_ERRORS] = {
	{NBD_EIO, "EIO"}, /* first: what nbd_error() makes of all others */
	{NBD_EPERM, "EPERM"},
	{NBD_ENOMEM, "ENOMEM"},
	{NBD_EINVAL, "EINVAL"},
	{NBD_ENOSPC, "ENOSPC"},
	{NBD_EOVERFLOW, "EOVERFLOW"},
	{NBD_ENOTSUP, "ENOTSUP"},
	{NBD_ESHUTDOWN, "ESHUTDOWN"},
};

const char *tally_error_name(unsigned index)
{
	return errors[index].name;
}

const char *tally_kind_name(enum tally_kind kind)
{
	static const char *const names[TALLY_KINDS] = {"read", "write", "other"};

	return names[kind];
}

void tally_error(struct tally *t, int error)
{
	uint32_t number = nbd_error(error);
	unsigned i = TALLY_ERRORS - 1;

	while (i > 0 && errors[i].number != number)
		i--;
	counter_add(&t->errors[i], 1);
}

static void merge(_Atomic uint64_t *into, const _Atomic uint64_t *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		counter_add(&into[i], counter_get(&from[i]));
}

void tally_merge_counts(struct tally *into, const struct tally *from)
{
	merge(into->requests, from->requests, NBD_CMD_COUNT);
	merge(into->errors, from->errors, TALLY_ERRORS);
	merge(&into->bytes_read, &from->bytes_read, 1);
	merge(&into->bytes_written, &from->bytes_written, 1);
	merge(&into->in_flight, &from->in_flight, 1);
	counter_raise(&into->in_flight_max, counter_get(&from->in_flight_max));
}

void tally_merge(struct tally *into, const struct tally *from)
{
	tally_merge_counts(into, from);
	for (unsigned i = 0; i < TALLY_KINDS; i++)
		latency_merge(&into->latency[i], &from->latency[i]);
}

uint64_t tally_errors(const struct tally *t)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < TALLY_ERRORS; i++)
		n += counter_get(&t->errors[i]);
	return n;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which requests are refused, with which error; pure. Source: the NBD protocol, "Request types"
 * and "Error values"; a row of `commands` per command.
 */
#include "request.h"

#include "util.h"

#include <errno.h>

struct rule {
	uint16_t needs; /* transmission flag that announces the command, 0 = always there */
	uint16_t flags; /* command flags it may carry besides FUA */
	bool writes;    /* refused on a read-only export */
	bool has_range; /* offset and length mean a range of the export */
	int beyond_end; /* errno for a range outside the export */
};

static const struct rule commands[NBD_CMD_COUNT] = {
	[NBD_CMD_READ] = {0, NBD_CMD_FLAG_DF, false, true, EINVAL},
	[NBD_CMD_WRITE] = {0, NBD_CMD_FLAG_PAYLOAD_LEN, true, true, ENOSPC},
	[NBD_CMD_DISC] = {0, 0xffff, false, false, 0},
	[NBD_CMD_FLUSH] = {NBD_FLAG_SEND_FLUSH, 0, false, false, 0},
	[NBD_CMD_TRIM] = {NBD_FLAG_SEND_TRIM, 0, true, true, EINVAL},
	[NBD_CMD_CACHE] = {NBD_FLAG_SEND_CACHE, 0, false, true, EINVAL},
	[NBD_CMD_WRITE_ZEROES] = {NBD_FLAG_SEND_WRITE_ZEROES,
		NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO, true, true, ENOSPC},
	[NBD_CMD_BLOCK_STATUS] = {0, NBD_CMD_FLAG_REQ_ONE | NBD_CMD_FLAG_PAYLOAD_LEN, false, true,
		EINVAL},
};

static int refuse(int error, const char *text, const char **ret_text)
{
	*ret_text = text;
	return error;
}

static uint16_t allowed_flags(const struct rule *rule, const struct request_rules *rules)
{
	uint16_t flags = rule->flags;

	if (rules->flags & NBD_FLAG_SEND_FUA)
		flags |= NBD_CMD_FLAG_FUA;
	if (!rules->agreed.structured)
		flags &= (uint16_t)~NBD_CMD_FLAG_DF;
	if (!(rules->flags & NBD_FLAG_SEND_FAST_ZERO))
		flags &= (uint16_t)~NBD_CMD_FLAG_FAST_ZERO;
	if (!rules->agreed.extended)
		flags &= (uint16_t)~NBD_CMD_FLAG_PAYLOAD_LEN;
	return flags;
}

static int check_flags(const struct nbd_request *rq, const struct rule *rule,
	const struct request_rules *rules, const char **ret_text)
{
	if (rq->flags & ~allowed_flags(rule, rules))
		return refuse(EINVAL, "flag not allowed on this command", ret_text);
	if (rules->agreed.extended && rq->type == NBD_CMD_WRITE &&
		!(rq->flags & NBD_CMD_FLAG_PAYLOAD_LEN))
		return refuse(EINVAL, "WRITE without PAYLOAD_LEN under extended headers", ret_text);
	if (rule->writes && (rules->flags & NBD_FLAG_READ_ONLY))
		return refuse(EPERM, "the export is read-only", ret_text);
	if (rule->needs && !(rules->flags & rule->needs))
		return refuse(EINVAL, "command not announced for this export", ret_text);
	if (rq->type == NBD_CMD_BLOCK_STATUS && !rules->agreed.allocation)
		return refuse(EINVAL, "no metadata context was agreed on", ret_text);
	return 0;
}

static int check_size(
	const struct nbd_request *rq, const struct request_rules *rules, const char **ret_text)
{
	if (rq->type == NBD_CMD_READ && rq->length > REQUEST_PAYLOAD_MAX) {
		bool overflow = rules->agreed.extended || (rq->flags & NBD_CMD_FLAG_DF);

		return refuse(overflow ? EOVERFLOW : EINVAL, "READ of more than 64 MiB", ret_text);
	}
	if (rq->type == NBD_CMD_WRITE && rq->length > REQUEST_PAYLOAD_MAX)
		return refuse(EINVAL, "WRITE of more than 64 MiB", ret_text);
	if ((rq->type == NBD_CMD_READ || rq->type == NBD_CMD_WRITE) &&
		rq->length > rules->block_max)
		return refuse(EINVAL, "longer than the maximum block size", ret_text);
	if (rq->length == 0 && rq->type == NBD_CMD_BLOCK_STATUS)
		return refuse(EINVAL, "BLOCK_STATUS of nothing", ret_text);
	return 0;
}

static int beyond(const struct rule *rule, const char **ret_text)
{
	return refuse(rule->beyond_end, "beyond the end of the export", ret_text);
}

static int check_range(const struct nbd_request *rq, const struct rule *rule,
	const struct request_rules *rules, const char **ret_text)
{
	/* With a payload the length field counts that; the effect is checked when it is here. */
	if (rq->type == NBD_CMD_BLOCK_STATUS && (rq->flags & NBD_CMD_FLAG_PAYLOAD_LEN))
		return rq->length == 0 || rq->length > REQUEST_STATUS_BYTES
			? refuse(EINVAL, "BLOCK_STATUS payload empty or too long", ret_text)
			: 0;
	if (!range_inside(rq->offset, rq->length, rules->size))
		return beyond(rule, ret_text);
	if ((rq->offset | rq->length) % rules->block_min)
		return refuse(EINVAL, "not aligned to the minimum block size", ret_text);
	return check_size(rq, rules, ret_text);
}

int request_check(
	const struct nbd_request *rq, const struct request_rules *rules, const char **ret_text)
{
	const struct rule *rule = rq->type < NBD_CMD_COUNT ? &commands[rq->type] : NULL;
	int error;

	*ret_text = NULL;
	if (!rule)
		return refuse(EINVAL, "unknown command", ret_text);
	if (rq->type == NBD_CMD_DISC)
		return 0;
	error = check_flags(rq, rule, rules, ret_text);
	if (!error && rule->has_range)
		error = check_range(rq, rule, rules, ret_text);
	return error;
}

int request_beyond(const struct nbd_request *rq, uint64_t size, const char **ret_text)
{
	const struct rule *rule = &commands[rq->type];

	if (!rule->has_range || range_inside(rq->offset, rq->length, size))
		return 0;
	return beyond(rule, ret_text);
}

bool request_modifies(const struct nbd_request *rq)
{
	return rq->type < NBD_CMD_COUNT && commands[rq->type].writes;
}

uint64_t request_payload(const struct nbd_request *rq, bool extended)
{
	if (extended)
		return rq->flags & NBD_CMD_FLAG_PAYLOAD_LEN ? rq->length : 0;
	return rq->type == NBD_CMD_WRITE ? rq->length : 0;
}

size_t request_buffer(const struct nbd_request *rq)
{
	switch (rq->type) {
	case NBD_CMD_READ:
	case NBD_CMD_WRITE:
		return (size_t)rq->length;
	case NBD_CMD_BLOCK_STATUS:
		return REQUEST_STATUS_BYTES;
	default:
		return 0;
	}
}

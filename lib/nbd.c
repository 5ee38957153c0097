/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coding of NBD headers, the only place that knows their layout; see nbd.h. */
#include "nbd.h"

#include "buf.h"

#include <errno.h>

int nbd_request_decode(const uint8_t *p, bool extended, struct nbd_request *ret)
{
	if (get_u32(p) != (extended ? NBD_MAGIC_REQUEST_EXT : NBD_MAGIC_REQUEST))
		return -EPROTO;
	ret->flags = get_u16(p + 4);
	ret->type = get_u16(p + 6);
	ret->cookie = get_u64(p + 8);
	ret->offset = get_u64(p + 16);
	ret->length = extended ? get_u64(p + 24) : get_u32(p + 24);
	return 0;
}

size_t nbd_request_encode(uint8_t *p, bool extended, const struct nbd_request *rq)
{
	set_u32(p, extended ? NBD_MAGIC_REQUEST_EXT : NBD_MAGIC_REQUEST);
	set_u16(p + 4, rq->flags);
	set_u16(p + 6, rq->type);
	set_u64(p + 8, rq->cookie);
	set_u64(p + 16, rq->offset);
	if (!extended) {
		set_u32(p + 24, (uint32_t)rq->length);
		return NBD_REQUEST_BYTES;
	}
	set_u64(p + 24, rq->length);
	return NBD_REQUEST_EXT_BYTES;
}

size_t nbd_simple_reply_encode(uint8_t *p, uint64_t cookie, uint32_t error)
{
	set_u32(p, NBD_MAGIC_SIMPLE_REPLY);
	set_u32(p + 4, error);
	set_u64(p + 8, cookie);
	return NBD_SIMPLE_REPLY_BYTES;
}

size_t nbd_chunk_encode(uint8_t *p, bool extended, uint16_t flags, uint16_t type, uint64_t cookie,
	uint64_t offset, uint64_t length)
{
	set_u32(p, extended ? NBD_MAGIC_STRUCTURED_EXT : NBD_MAGIC_STRUCTURED);
	set_u16(p + 4, flags);
	set_u16(p + 6, type);
	set_u64(p + 8, cookie);
	if (!extended) {
		set_u32(p + 16, (uint32_t)length);
		return NBD_CHUNK_BYTES;
	}
	set_u64(p + 16, offset);
	set_u64(p + 24, length);
	return NBD_CHUNK_EXT_BYTES;
}

uint32_t nbd_error(int error)
{
	switch (error) {
	case 0:
		return 0;
	case EPERM:
	case EACCES:
	case EROFS:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NBD_ENOSPC;
	case EOVERFLOW:
		return NBD_EOVERFLOW;
	case EOPNOTSUPP:
		return NBD_ENOTSUP;
	case ESHUTDOWN:
		return NBD_ESHUTDOWN;
	default:
		return NBD_EIO;
	}
}

const char *nbd_cmd_name(unsigned type)
{
	static const char *const names[NBD_CMD_COUNT] = {
		"READ", "WRITE", "DISC", "FLUSH", "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS"};

	return type < NBD_CMD_COUNT ? names[type] : "?";
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NBD protocol on the wire: numbers, and the coding of fixed headers. Pure.
 *
 * Source: "The NBD protocol" (doc/proto.md of the NetworkBlockDevice project), with the
 * "extended headers" extension. All integers are in network byte order.
 */
#ifndef LIB_NBD_H
#define LIB_NBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_MAGIC                0x4e42444d41474943ULL /* "NBDMAGIC" */
#define NBD_MAGIC_OPTION         0x49484156454f5054ULL /* "IHAVEOPT" */
#define NBD_MAGIC_OLDSTYLE       0x00420281861253ULL
#define NBD_MAGIC_OPTION_REPLY   0x0003e889045565a9ULL
#define NBD_MAGIC_REQUEST        0x25609513U
#define NBD_MAGIC_REQUEST_EXT    0x21e41c71U
#define NBD_MAGIC_SIMPLE_REPLY   0x67446698U
#define NBD_MAGIC_STRUCTURED     0x668e33efU
#define NBD_MAGIC_STRUCTURED_EXT 0x6e8a278cU

enum {
	NBD_STRING_MAX = 4096,      /* longest name, description or query, in bytes */
	NBD_REQUEST_BYTES = 28,     /* compact request header */
	NBD_REQUEST_EXT_BYTES = 32, /* extended request header */
	NBD_SIMPLE_REPLY_BYTES = 16,
	NBD_CHUNK_BYTES = 20,
	NBD_CHUNK_EXT_BYTES = 32,
	NBD_REPLY_HEADER_MAX = 32 + 8, /* chunk header and the offset of OFFSET_DATA */
	NBD_GREETING_BYTES = 18,
	NBD_OLDSTYLE_BYTES = 152,
	NBD_OPTION_BYTES = 16,
	NBD_DEFAULT_PORT = 8520, /* of this suite and the one it replaces; IANA says 10809 */
};

/* Handshake flags, of server and client alike. */
enum { NBD_FIXED_NEWSTYLE = 1 << 0, NBD_NO_ZEROES = 1 << 1 };

enum nbd_opt {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
	NBD_OPT_EXTENDED_HEADERS = 11,
};

#define NBD_REP_ACK                 1U
#define NBD_REP_SERVER              2U
#define NBD_REP_INFO                3U
#define NBD_REP_META_CONTEXT        4U
#define NBD_REP_ERR_UNSUP           0x80000001U
#define NBD_REP_ERR_POLICY          0x80000002U
#define NBD_REP_ERR_INVALID         0x80000003U
#define NBD_REP_ERR_PLATFORM        0x80000004U
#define NBD_REP_ERR_UNKNOWN         0x80000006U
#define NBD_REP_ERR_SHUTDOWN        0x80000007U
#define NBD_REP_ERR_TOO_BIG         0x80000009U
#define NBD_REP_ERR_EXT_HEADER_REQD 0x8000000aU

enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_DESCRIPTION = 2, NBD_INFO_BLOCK_SIZE = 3 };

/* Transmission flags. */
enum {
	NBD_FLAG_HAS_FLAGS = 1 << 0,
	NBD_FLAG_READ_ONLY = 1 << 1,
	NBD_FLAG_SEND_FLUSH = 1 << 2,
	NBD_FLAG_SEND_FUA = 1 << 3,
	NBD_FLAG_ROTATIONAL = 1 << 4,
	NBD_FLAG_SEND_TRIM = 1 << 5,
	NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
	NBD_FLAG_SEND_DF = 1 << 7,
	NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
	NBD_FLAG_SEND_CACHE = 1 << 10,
	NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
	NBD_FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12,
};

enum nbd_cmd {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
	NBD_CMD_COUNT = 8,
};

enum {
	NBD_CMD_FLAG_FUA = 1 << 0,
	NBD_CMD_FLAG_NO_HOLE = 1 << 1,
	NBD_CMD_FLAG_DF = 1 << 2,
	NBD_CMD_FLAG_REQ_ONE = 1 << 3,
	NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
	NBD_CMD_FLAG_PAYLOAD_LEN = 1 << 5,
};

enum {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_OFFSET_HOLE = 2,
	NBD_CHUNK_BLOCK_STATUS = 5,
	NBD_CHUNK_BLOCK_STATUS_EXT = 6,
	NBD_CHUNK_ERROR = 0x8001,
	NBD_CHUNK_FLAG_DONE = 1 << 0,
};

/* "base:allocation" states. */
enum { NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1 };

/* The one metadata context of this suite and the id it goes by on every connection. */
#define NBD_CONTEXT_BASE "base:allocation"
enum { NBD_CONTEXT_BASE_ID = 1 };

/* Errors as they travel. */
enum {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

struct nbd_request {
	uint16_t flags;  /* NBD_CMD_FLAG_* */
	uint16_t type;   /* enum nbd_cmd, or anything a client sends */
	uint64_t cookie; /* echoed bit for bit */
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes, of the effect or of the payload */
};

/* Reads a header of 28 (compact) or 32 (extended) bytes. -EPROTO on another magic number. */
int nbd_request_decode(const uint8_t *p, bool extended, struct nbd_request *ret);
/* Writes one; returns its size. For clients: tests, benchmark, proxy. */
size_t nbd_request_encode(uint8_t *p, bool extended, const struct nbd_request *rq);

/* Writes 16 bytes, returns 16. ERROR is an NBD_E* number or 0. */
size_t nbd_simple_reply_encode(uint8_t *p, uint64_t cookie, uint32_t error);

/* Writes a chunk header (20 or 32 bytes), returns its size. OFFSET is that of the request. */
size_t nbd_chunk_encode(uint8_t *p, bool extended, uint16_t flags, uint16_t type, uint64_t cookie,
	uint64_t offset, uint64_t length);

/* errno (positive) to NBD_E*: EDQUOT and EFBIG are ENOSPC, what the protocol lacks is EIO. */
uint32_t nbd_error(int error);

/* "READ", "WRITE_ZEROES" ...; "?" for a number the protocol does not know. */
const char *nbd_cmd_name(unsigned type);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs of data and of zeros, in units of SPARSE_RUN. */
#include "sparse.h"

#include "util.h"

#include <errno.h>
#include <string.h>

/* All of LEN bytes by pread, or (PUT) pwrite. */
static int move_all(int fd, bool put, uint8_t *buf, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = put ? pwrite(fd, buf, len, (off_t)offset)
				: pread(fd, buf, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int move_piece(const struct piece *piece, bool put, uint8_t *buf)
{
	if (piece->kind == PIECE_DATA)
		return move_all(piece->fd, put, buf, (size_t)piece->length, piece->offset);
	if (put || piece->kind == PIECE_ABSENT)
		return -EIO;
	memset(buf, 0, (size_t)piece->length);
	return 0;
}

/* As the storage maps it: in several pieces if it is a layer itself (a snapshot's live image), and
 * what cannot be done past the page cache (--direct) is not. */
static int move_mapped(struct storage *st, bool put, uint8_t *buf, size_t len, uint64_t offset)
{
	int ret = 0;

	for (struct piece piece; ret == 0 && len > 0; len -= (size_t)piece.length) {
		st->ops->map(st, put, offset, len, &piece, 1);
		ret = move_piece(&piece, put, buf);
		buf += piece.length;
		offset += piece.length;
	}
	return ret;
}

int sparse_read(struct storage *from, uint64_t offset, uint8_t *buf, size_t len)
{
	return move_mapped(from, false, buf, len, offset);
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* The run of zero or other units at P; the last unit may be short. */
static size_t run_length(const uint8_t *p, size_t len, bool *ret_zero)
{
	size_t n = MIN_OF(len, (size_t)SPARSE_RUN);

	*ret_zero = is_zero(p, n);
	while (n < len && is_zero(p + n, MIN_OF(len - n, (size_t)SPARSE_RUN)) == *ret_zero)
		n += MIN_OF(len - n, (size_t)SPARSE_RUN);
	return n;
}

int sparse_write(struct storage *to, uint64_t offset, uint8_t *buf, size_t len)
{
	int ret = 0;

	while (ret == 0 && len > 0) {
		bool zero;
		size_t n = run_length(buf, len, &zero);

		ret = zero ? to->ops->zero(to, offset, n, 0)
			   : move_mapped(to, true, buf, n, offset);
		buf += n;
		offset += n;
		len -= n;
	}
	return ret;
}

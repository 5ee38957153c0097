/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file's lines by way of a fixed buffer; see lines.h. Invariant: the buffer is refilled only when
 * it holds no newline and less than RECORD_LINE_MAX bytes, so there is always room.
 */
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *l, int fd, uint64_t max)
{
	l->fd = fd;
	l->start = l->end = 0;
	l->left = max;
	l->at_end = l->inside = false;
}

static int fill(struct lines *l)
{
	ssize_t n;

	memmove(l->bytes, l->bytes + l->start, l->end - l->start);
	l->end -= l->start;
	l->start = 0;
	do
		n = read(l->fd, l->bytes + l->end, sizeof(l->bytes) - l->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((uint64_t)n > l->left)
		return -EFBIG;
	l->at_end = n == 0;
	l->left -= (uint64_t)n;
	l->end += (size_t)n;
	return 0;
}

/* LEN bytes are a piece; ENDS: of a line. */
static int give(struct lines *l, size_t len, bool ends, bool newline, struct lines_piece *ret)
{
	*ret = (struct lines_piece){l->bytes + l->start, len, ends && !l->inside, ends, newline};
	l->start += len + newline;
	l->inside = !ends;
	return 1;
}

int lines_next(struct lines *l, struct lines_piece *ret)
{
	for (;;) {
		size_t have = l->end - l->start;
		const char *text = l->bytes + l->start;
		const char *newline = have ? memchr(text, '\n', have) : NULL;
		int r;

		if (newline && (size_t)(newline - text) < RECORD_LINE_MAX)
			return give(l, (size_t)(newline - text), true, true, ret);
		if (have >= RECORD_LINE_MAX)
			return give(l, RECORD_LINE_MAX, false, false, ret);
		if (l->at_end)
			return have || l->inside ? give(l, have, true, false, ret) : 0;
		r = fill(l);
		if (r < 0)
			return r;
	}
}

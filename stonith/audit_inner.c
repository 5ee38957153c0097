/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hashes, heads and pieces of the audit log; see audit_inner.h. */
#include "audit_inner.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_LEN = 20 + 1 + (AUDIT_HASH_ROOM - 1) + 1 };

const char audit_no_hash[AUDIT_HASH_ROOM] =
	"0000000000000000000000000000000000000000000000000000000000000000";

/* Hashes. */

bool audit_hash_init(struct audit_hash *h)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];

	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	h->ctx = EVP_MD_CTX_new();
	/* The first use takes what later ones need. */
	return h->md && h->ctx && EVP_DigestInit_ex(h->ctx, h->md, NULL) &&
		EVP_DigestFinal_ex(h->ctx, bytes, NULL);
}

void audit_hash_done(struct audit_hash *h)
{
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	*h = (struct audit_hash){0};
}

void audit_hash_begin(struct audit_hash *h)
{
	EVP_DigestInit_ex(h->ctx, h->md, NULL);
}

void audit_hash_add(struct audit_hash *h, const void *bytes, size_t len)
{
	EVP_DigestUpdate(h->ctx, bytes, len);
}

void audit_hash_end(struct audit_hash *h, char ret[AUDIT_HASH_ROOM])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[EVP_MAX_MD_SIZE] = {0};

	EVP_DigestFinal_ex(h->ctx, bytes, NULL);
	for (size_t i = 0; i < (AUDIT_HASH_ROOM - 1) / 2; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[AUDIT_HASH_ROOM - 1] = 0;
}

void audit_hash(struct audit_hash *h, const void *bytes, size_t len, char ret[AUDIT_HASH_ROOM])
{
	audit_hash_begin(h);
	audit_hash_add(h, bytes, len);
	audit_hash_end(h, ret);
}

/* PATH.head. */

bool audit_head_read(int fd, struct audit_head *ret)
{
	struct audit_head head;
	char text[HEAD_LEN + 1];
	unsigned long long seq;
	int end = 0;

	if (fd < 0 || pread(fd, text, HEAD_LEN, 0) != HEAD_LEN)
		return false;
	text[HEAD_LEN] = 0;
	if (sscanf(text, "%20llu %64[0-9a-f]%n", &seq, head.hash, &end) != 2 ||
		end != HEAD_LEN - 1 || text[end] != '\n' || !seq)
		return false;
	head.seq = seq;
	*ret = head;
	return true;
}

/* It is not synced, for it must never be newer on disk than the log, only older. What cannot be
 * written stays older. */
void audit_head_write(int fd, const struct audit_head *head)
{
	char text[HEAD_LEN + 1];

	snprintf(text, sizeof(text), "%020llu %s\n", (unsigned long long)head->seq, head->hash);
	if (fd >= 0 && pwrite(fd, text, HEAD_LEN, 0) < 0)
		return;
}

/* Pieces. */

void audit_reader_init(struct audit_reader *r, int fd)
{
	r->fd = fd;
	r->start = r->end = 0;
	r->at_end = r->inside = false;
}

static int fill(struct audit_reader *r)
{
	ssize_t n;

	memmove(r->bytes, r->bytes + r->start, r->end - r->start);
	r->end -= r->start;
	r->start = 0;
	do
		n = read(r->fd, r->bytes + r->end, sizeof(r->bytes) - r->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->at_end = n == 0;
	r->end += (size_t)n;
	return 0;
}

static void take(struct audit_reader *r, size_t len, bool newline, struct audit_piece *ret)
{
	bool long_line = r->inside || !(newline || r->at_end);

	*ret = (struct audit_piece){r->bytes + r->start, len, newline, !long_line};
	r->inside = long_line && !newline;
	r->start += len + newline;
}

int audit_reader_next(struct audit_reader *r, struct audit_piece *ret)
{
	for (;;) {
		size_t have = r->end - r->start;
		const char *newline = memchr(r->bytes + r->start, '\n', have);
		int n;

		if (newline) {
			take(r, (size_t)(newline - r->bytes) - r->start, true, ret);
			return 1;
		}
		if (have >= AUDIT_LINE_MAX || (r->at_end && have)) {
			take(r, have, false, ret);
			return 1;
		}
		if (r->at_end)
			return 0;
		n = fill(r);
		if (n < 0)
			return n;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NBD export by libnbd; see medium.h. A handle does one request at a time, so there are several:
 * a reader takes one that is free. All writing goes through the first, so that a flush is for all.
 */
#include "medium.h"

#include "util.h"

#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { LINKS = 4, REQUEST_MAX = 1024 * 1024 };

struct medium_nbd {
	struct medium medium;
	struct nbd_handle *links[LINKS];
	bool busy[LINKS];
	size_t count;
	pthread_mutex_t lock; /* guards `busy` */
	pthread_cond_t freed;
	uint32_t most; /* bytes of one request */
	bool can_zero, can_flush;
	const char *uri;
};

static struct medium_nbd *of(struct medium *m)
{
	return container_of(m, struct medium_nbd, medium);
}

/* What libnbd says of its last error in this thread, without its function's name. */
static int nbd_fault(struct err *err, const char *uri)
{
	const char *text = nbd_get_error(), *colon = text ? strstr(text, ": ") : NULL;
	int code = nbd_get_errno();

	if (colon && strncmp(text, "nbd_", 4) == 0)
		text = colon + 2;
	return err_set(err, code ? code : EIO, "%s: %s", uri, text ? text : "unknown error");
}

static size_t take_link(struct medium_nbd *n)
{
	size_t i;

	pthread_mutex_lock(&n->lock);
	for (;;) {
		for (i = 0; i < n->count && n->busy[i]; i++)
			;
		if (i < n->count)
			break;
		pthread_cond_wait(&n->freed, &n->lock);
	}
	n->busy[i] = true;
	pthread_mutex_unlock(&n->lock);
	return i;
}

static void give_link(struct medium_nbd *n, size_t i)
{
	pthread_mutex_lock(&n->lock);
	n->busy[i] = false;
	pthread_cond_signal(&n->freed);
	pthread_mutex_unlock(&n->lock);
}

static int read_all(
	struct medium_nbd *n, struct nbd_handle *h, char *bytes, size_t len, uint64_t at)
{
	while (len > 0) {
		size_t part = MIN_OF(len, (size_t)n->most);

		if (nbd_pread(h, bytes, part, at, 0) < 0)
			return -EIO;
		bytes += part;
		at += part;
		len -= part;
	}
	return 0;
}

static int nbd_read(struct medium *m, void *bytes, size_t len, uint64_t at, struct err *err)
{
	struct medium_nbd *n = of(m);
	size_t i = take_link(n);
	int ret = read_all(n, n->links[i], bytes, len, at);

	if (ret < 0)
		ret = nbd_fault(err, n->uri);
	give_link(n, i);
	return ret;
}

static int nbd_write(struct medium *m, const void *bytes, size_t len, uint64_t at, struct err *err)
{
	struct medium_nbd *n = of(m);
	const char *p = bytes;

	while (len > 0) {
		size_t part = MIN_OF(len, (size_t)n->most);

		if (nbd_pwrite(n->links[0], p, part, at, 0) < 0)
			return nbd_fault(err, n->uri);
		p += part;
		at += part;
		len -= part;
	}
	return 0;
}

static int nbd_zeros(struct medium *m, size_t len, uint64_t at, struct err *err)
{
	static const char zeros[64 * 1024];
	struct medium_nbd *n = of(m);
	int ret = 0;

	if (n->can_zero)
		return nbd_zero(n->links[0], len, at, 0) < 0 ? nbd_fault(err, n->uri) : 0;
	while (ret == 0 && len > 0) {
		size_t part = MIN_OF(len, sizeof(zeros));

		ret = nbd_write(m, zeros, part, at, err);
		at += part;
		len -= part;
	}
	return ret;
}

static int nbd_sync(struct medium *m, struct err *err)
{
	struct medium_nbd *n = of(m);

	return n->can_flush && nbd_flush(n->links[0], 0) < 0 ? nbd_fault(err, n->uri) : 0;
}

static void nbd_free(struct medium *m)
{
	struct medium_nbd *n = of(m);

	for (size_t i = 0; i < n->count; i++) {
		if (nbd_aio_is_ready(n->links[i]))
			nbd_shutdown(n->links[i], 0);
		nbd_close(n->links[i]);
	}
	pthread_cond_destroy(&n->freed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static const struct medium_ops nbd_ops = {.read = nbd_read,
	.write = nbd_write,
	.zero = nbd_zeros,
	.sync = nbd_sync,
	.free = nbd_free};

static int add_link(struct medium_nbd *n, struct err *err)
{
	struct nbd_handle *h = nbd_create();

	if (!h)
		return nbd_fault(err, n->uri);
	/* The server's own limits are kept by asking it for no more than `most`, aligned. */
	nbd_set_strict_mode(h, nbd_get_strict_mode(h) & ~(uint32_t)LIBNBD_STRICT_ALIGN);
	if (nbd_set_uri_allow_local_file(h, true) < 0 || nbd_connect_uri(h, n->uri) < 0) {
		nbd_fault(err, n->uri);
		nbd_close(h);
		return -err->code;
	}
	n->links[n->count++] = h;
	return 0;
}

static int look(struct medium_nbd *n, enum medium_mode mode, struct err *err)
{
	struct nbd_handle *h = n->links[0];
	int64_t size = nbd_get_size(h), most = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return nbd_fault(err, n->uri);
	if (mode == MEDIUM_WRITE && nbd_is_read_only(h) != 0)
		return err_set(err, EROFS, "%s: the export is read-only", n->uri);
	n->medium.size = (uint64_t)size;
	n->most = most > 0 && most < REQUEST_MAX ? (uint32_t)most : REQUEST_MAX;
	n->can_zero = nbd_can_zero(h) > 0;
	n->can_flush = nbd_can_flush(h) > 0;
	return 0;
}

struct medium *medium_nbd_new(const char *uri, enum medium_mode mode, struct err *err)
{
	struct medium_nbd *n = calloc(1, sizeof(*n));
	struct err ignored;

	if (!n) {
		err_set(err, ENOMEM, "%s: out of memory", uri);
		return NULL;
	}
	*n = (struct medium_nbd){.medium.ops = &nbd_ops, .uri = uri};
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->freed, NULL);
	if (add_link(n, err) < 0 || look(n, mode, err) < 0) {
		nbd_free(&n->medium);
		return NULL;
	}
	/* More make it faster; a server may have a limit of clients. */
	while (mode == MEDIUM_READ && n->count < LINKS && add_link(n, &ignored) == 0)
		;
	return &n->medium;
}

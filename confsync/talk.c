/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages, generations and contents of a conversation. What the other side sends is bounded before
 * memory is taken for it: a text by its frame, a generation grows as it arrives, a content is
 * stored piece by piece.
 */
#include "talk_inner.h"

#include "scan.h"
#include "store.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { GROW = 1024 * 1024 };

int talk_send(struct talk *t, const struct message *m, struct err *err)
{
	CLEANUP_FREE char *text = message_print(m);
	CLEANUP_FREE uint8_t *frame = NULL;
	size_t len = text ? strlen(text) : 0;

	frame = text ? malloc(WIRE_HEADER + len) : NULL;
	if (!frame)
		return err_set(err, ENOMEM, "%s: no memory", t->peer);
	if (len > WIRE_TEXT_MAX)
		return err_set(err, EMSGSIZE, "%s: a message is too long", t->peer);
	memcpy(frame + WIRE_HEADER, text, len);
	return talk_put_frame(t, WIRE_TEXT, frame, len, err);
}

int talk_refuse(struct talk *t, enum message_kind kind, const char *why, struct err *err)
{
	struct message m = {.kind = kind};

	str_printable(m.text, sizeof(m.text), why, strlen(why));
	return talk_send(t, &m, err);
}

int talk_receive(struct talk *t, struct message *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct err why = {0};
	uint32_t len = 0;
	int r = talk_get_header(t, WIRE_TEXT, WIRE_TEXT_MAX, &len, err);

	if (r < 0)
		return r;
	text = malloc(len + 1);
	if (!text)
		return talk_fail(t, ENOMEM, "no memory", err);
	r = talk_get(t, text, len, err);
	if (r < 0)
		return r;
	text[len] = 0;
	r = message_parse(text, len, ret, &why);
	if (r < 0 && r != -EOPNOTSUPP)
		t->dead = true;
	return r < 0 ? err_set(err, -r, "%s: %.400s", t->peer, why.text) : 0;
}

static int not_expected(struct talk *t, enum message_kind kind, struct message *m, struct err *err)
{
	int r;

	if (m->kind == MESSAGE_REFUSE && strcmp(m->text, TALK_BUSY) == 0)
		r = err_set(err, EBUSY, "%s is busy with this set", t->peer);
	else if (m->kind == MESSAGE_REFUSE)
		r = err_set(err, EREMOTEIO, "%s refuses: %.400s", t->peer, m->text);
	else if (m->kind == MESSAGE_ABORT)
		r = err_set(err, EREMOTEIO, "%s gave up: %.400s", t->peer, m->text);
	else {
		t->dead = true;
		r = err_set(err, EPROTO, "%s: it says %s where %s is due", t->peer,
			message_name(m->kind), message_name(kind));
	}
	message_done(m);
	return r;
}

int talk_expect(struct talk *t, enum message_kind kind, struct message *ret, struct err *err)
{
	int r = talk_receive(t, ret, err);

	if (r < 0) {
		t->dead = true; /* also for kinds that we do not know: none is due here */
		return r;
	}
	return ret->kind == kind ? 0 : not_expected(t, kind, ret, err);
}

int talk_send_generation(struct talk *t, const struct generation *g, struct err *err)
{
	struct buf b;
	int r;

	buf_init(&b, WIRE_HEADER + (size_t)WIRE_GENERATION_MAX);
	buf_put_zeros(&b, WIRE_HEADER);
	generation_print(g, &b);
	if (buf_failed(&b))
		r = talk_fail(t, EMSGSIZE, "the set's list of files is too long to be sent", err);
	else
		r = talk_put_frame(
			t, WIRE_GENERATION, b.data + b.start, buf_len(&b) - WIRE_HEADER, err);
	buf_done(&b);
	return r;
}

static int get_growing(struct talk *t, struct buf *b, size_t len, struct err *err)
{
	while (len > 0) {
		size_t n = MIN_OF(len, (size_t)GROW);
		uint8_t *p = buf_reserve(b, n);
		int r = p ? talk_get(t, p, n, err) : talk_fail(t, ENOMEM, "no memory", err);

		if (r < 0)
			return r;
		buf_added(b, n);
		len -= n;
	}
	return 0;
}

int talk_receive_generation(struct talk *t, struct generation *ret, struct err *err)
{
	struct err why = {0};
	struct buf b;
	uint32_t len = 0;
	int r = talk_get_header(t, WIRE_GENERATION, WIRE_GENERATION_MAX, &len, err);

	if (r < 0)
		return r;
	buf_init(&b, WIRE_GENERATION_MAX);
	r = get_growing(t, &b, len, err);
	if (r == 0) {
		r = generation_parse((const char *)buf_bytes(&b), buf_len(&b), ret, &why);
		if (r < 0)
			err_set(err, -r, "%s: its generation: %.400s", t->peer, why.text);
	}
	buf_done(&b);
	return r;
}

static int send_pieces(struct talk *t, uint64_t size, int fd, uint8_t *frame, struct err *err)
{
	for (uint64_t at = 0; at < size;) {
		size_t want = (size_t)MIN_OF(size - at, (uint64_t)WIRE_DATA_MAX);
		ssize_t n = pread(fd, frame + WIRE_HEADER, want, (off_t)at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* we have promised SIZE bytes */
			return talk_fail(t, n < 0 ? errno : EIO,
				"a content became shorter while it was sent, or cannot be read",
				err);
		r = talk_put_frame(t, WIRE_DATA, frame, (size_t)n, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

int talk_send_data(
	struct talk *t, const uint8_t hash[MANIFEST_HASH], uint64_t size, int fd, struct err *err)
{
	struct message m = {.kind = MESSAGE_DATA, .size = size};
	CLEANUP_FREE uint8_t *frame = malloc(WIRE_HEADER + WIRE_DATA_MAX);
	int r;

	if (!frame)
		return talk_fail(t, ENOMEM, "no memory", err);
	memcpy(m.hash, hash, MANIFEST_HASH);
	r = talk_send(t, &m, err);
	return r < 0 ? r : send_pieces(t, size, fd, frame, err);
}

/* Reads on also when W is none, or has failed: *stored says so. */
static int receive_pieces(struct talk *t, uint64_t size, struct store_writer *w, uint8_t *bytes,
	int *stored, struct err *err)
{
	while (size > 0) {
		uint32_t len = 0;
		int r = talk_get_header(
			t, WIRE_DATA, (size_t)MIN_OF(size, (uint64_t)WIRE_DATA_MAX), &len, err);

		if (r == 0 && len == 0)
			r = talk_fail(t, EPROTO, "it sent an empty piece of a content", err);
		if (r == 0)
			r = talk_get(t, bytes, len, err);
		if (r < 0)
			return r;
		if (*stored == 0)
			*stored = store_writer_put(w, bytes, len, err);
		size -= len;
	}
	return 0;
}

int talk_receive_data(
	struct talk *t, const struct message *m, struct store_batch *b, struct err *err)
{
	CLEANUP_FREE uint8_t *bytes = malloc(WIRE_DATA_MAX);
	struct store_writer *w;
	int stored = 0, r;

	if (!bytes || m->size > SCAN_BYTES_MAX)
		return talk_fail(t, bytes ? EPROTO : ENOMEM,
			bytes ? "it sends a content that is too long" : "no memory", err);
	w = store_writer_new(b->folder, m->hash, m->size, err);
	if (!w)
		stored = err && err->code ? -err->code : -EIO;
	r = receive_pieces(t, m->size, w, bytes, &stored, err);
	if (r == 0 && stored == 0)
		return store_writer_end(w, b, err);
	store_writer_drop(w);
	return r < 0 ? r : stored;
}

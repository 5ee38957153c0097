/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source on another host. Each thread asks for its chunk, so as many are under way as there are
 * threads. What arrives is hashed here, and must have the hash that it had over there.
 */
#include "source_far.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct source_far {
	struct source source;
	const struct spec *spec;
	struct link *link;
	bool check; /* no bytes are wanted */
};

static struct source_far *of(struct source *s)
{
	return container_of(s, struct source_far, source);
}

static int check_hash(struct source_far *f, struct chunk *c, struct err *err)
{
	uint8_t hash[CODEC_HASH];

	if (codec_hash(c->data, c->len, hash) < 0 || memcmp(hash, c->hash, CODEC_HASH) != 0)
		return err_set(err, EBADMSG, "%s: chunk %llu arrived damaged", f->spec->host,
			(unsigned long long)c->index);
	return 0;
}

static int take_piece(struct source_far *f, struct chunk *c, const uint8_t *known,
	const struct buf *b, struct err *err)
{
	struct wire_piece p;

	if (wire_get_piece(buf_bytes(b), buf_len(b), &p) < 0 || p.index != c->index ||
		p.len != c->len)
		return err_set(err, EPROTO, "%s: sent another chunk", f->spec->host);
	memcpy(c->hash, p.hash, CODEC_HASH);
	c->zero = p.flags & WIRE_ZERO;
	c->same = p.flags & WIRE_SAME;
	if (c->same && f->check)
		return 0;
	if (c->same)
		return known && memcmp(known, p.hash, CODEC_HASH) == 0
			? 0
			: err_set(err, EPROTO, "%s: sent another hash", f->spec->host);
	if (p.bytes_len != (c->zero ? 0 : c->len))
		return err_set(err, EPROTO, "%s: sent another length", f->spec->host);
	if (c->zero)
		memset(c->data, 0, c->len);
	else
		memcpy(c->data, p.bytes, c->len);
	return check_hash(f, c, err);
}

static int far_read(struct source *s, struct chunk *c, const uint8_t *known, struct err *err)
{
	struct source_far *f = of(s);
	struct wire_piece p = {.index = c->index, .len = (uint32_t)c->len};
	struct buf question, answer;
	int ret;

	if (f->check)
		p.flags = WIRE_CHECK;
	if (known) {
		p.flags |= WIRE_KNOWN;
		memcpy(p.hash, known, CODEC_HASH);
	}
	buf_init(&question, WIRE_PIECE);
	buf_init(&answer, WIRE_MAX);
	wire_put_piece(&question, &p);
	ret = link_ask(f->link, WIRE_GET, &question, WIRE_CHUNK, &answer, err);
	if (ret == 0)
		ret = take_piece(f, c, known, &answer, err);
	buf_done(&question);
	buf_done(&answer);
	return ret;
}

static int far_finish(struct source *s, struct err *err)
{
	struct source_far *f = of(s);
	struct buf answer;
	int ret;

	buf_init(&answer, WIRE_MAX);
	ret = link_ask(f->link, WIRE_FINISH, NULL, WIRE_OK, &answer, err);
	buf_done(&answer);
	return ret < 0 ? ret : link_close(f->link, err);
}

static void far_cut(struct source *s)
{
	link_cut(of(s)->link);
}

static void far_free(struct source *s)
{
	struct source_far *f = of(s);

	link_free(f->link);
	free(f);
}

static const struct source_ops far_ops = {
	.read = far_read, .finish = far_finish, .cut = far_cut, .free = far_free};

static int open_far(struct source_far *f, const struct source_want *want, struct err *err)
{
	struct wire_open o = {
		.flags = want->restore ? WIRE_RESTORE : 0, .number = want->chunk_size};
	struct buf question, answer;
	size_t used;
	int ret;

	spec_print(f->spec, true, o.spec);
	buf_init(&question, WIRE_MAX);
	buf_init(&answer, WIRE_MAX);
	wire_put_open(&question, &o, false);
	ret = link_ask(f->link, WIRE_READ, &question, WIRE_SOURCE, &answer, err);
	if (ret == 0 &&
		manifest_get_head(buf_bytes(&answer), buf_len(&answer), &f->source.head, &used) < 0)
		ret = err_set(err, EPROTO, "%s: a source that makes no sense", f->spec->host);
	buf_done(&question);
	buf_done(&answer);
	if (ret == 0 && !want->restore)
		spec_print(f->spec, false, f->source.head.source);
	return ret;
}

struct source *source_far_new(const struct spec *spec, const struct source_want *want,
	const struct link_options *options, struct err *err)
{
	struct source_far *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	f->source.ops = &far_ops;
	f->spec = spec;
	f->check = want->check;
	f->link = link_new(spec->host, options, err);
	if (f->link && open_far(f, want, err) == 0)
		return &f->source;
	far_free(&f->source);
	return NULL;
}

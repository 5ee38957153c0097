/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serving one session; see serve.h and wire.h. Questions are answered in their order by one
 * thread. What is written is hashed here, after it was unpacked: what has another hash than its
 * sender says is refused before it reaches the disk.
 */
#include "serve.h"

#include "guard.h"
#include "link.h"
#include "log.h"
#include "source.h"
#include "str.h"
#include "target.h"
#include "target_lv.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct serve {
	const struct serve_rules *rules;
	struct link link;
	struct buf in, out;
	struct spec spec;
	struct spec beside; /* source of what is written; path "" = it is not on this host */
	struct manifest_head head;
	struct source *source;
	struct target *target;
	struct chunk chunk;
	uint64_t next;            /* index of the chunk that must be put next */
	uint8_t zero[CODEC_HASH]; /* of a whole chunk of zeros */
	bool greeted, done;
};

static int answer(
	struct serve *s, enum wire_type type, const void *bytes, size_t len, struct err *err)
{
	return link_send(&s->link, type, &s->out, bytes, len, err);
}

static int bad_frame(struct err *err)
{
	return err_set(err, EPROTO, "a message that makes no sense");
}

static int make_buffers(struct serve *s, struct err *err)
{
	struct chunk *c = &s->chunk;

	c->room = codec_room_most(s->head.chunk_size);
	c->data = aligned_alloc(PIPELINE_ALIGN, s->head.chunk_size);
	c->packed = malloc(c->room);
	if (!c->data || !c->packed)
		return err_set(err, ENOMEM, "no memory for chunks of %u bytes", s->head.chunk_size);
	memset(c->data, 0, s->head.chunk_size);
	return codec_hash(c->data, s->head.chunk_size, s->zero) < 0
		? err_set(err, EIO, "SHA-256 failed")
		: 0;
}

static int take_open(struct serve *s, bool write, struct wire_open *o, struct err *err)
{
	if (s->source || s->target ||
		wire_get_open(buf_bytes(&s->in), buf_len(&s->in), write, o) < 0)
		return bad_frame(err);
	if (spec_parse(&s->spec, o->spec, err) < 0)
		return -err->code;
	if (s->spec.host[0])
		return err_set(err, EINVAL, "%s: from here no other host is asked", o->spec);
	if (write && s->rules->read_only)
		return err_set(err, EACCES, "nothing may be written here (--read-only)");
	return s->rules->prefix ? guard_prefix(s->spec.kind, s->spec.path, s->rules->prefix, err)
				: 0;
}

/* Said so that it is not overwritten: what may not be seen here may not be asked after either. */
static int take_source(struct serve *s, const struct wire_open *o, struct err *err)
{
	if (!*o->source)
		return 0;
	if (spec_parse(&s->beside, o->source, err) < 0)
		return -err->code;
	if (s->beside.kind == SPEC_NBD)
		s->beside = (struct spec){0};
	else if (s->rules->prefix)
		return guard_prefix(s->beside.kind, s->beside.path, s->rules->prefix, err);
	return 0;
}

static const char *source_path(const struct serve *s)
{
	return *s->beside.path ? s->beside.path : NULL;
}

static int open_source(struct serve *s, struct err *err)
{
	struct wire_open o;
	struct source_want want = {0};

	if (take_open(s, false, &o, err) < 0)
		return -err->code;
	want.chunk_size = o.number;
	want.restore = o.flags & WIRE_RESTORE;
	s->source = source_local_new(&s->spec, &want, err);
	if (!s->source)
		return -err->code;
	s->head = s->source->head;
	if (make_buffers(s, err) < 0)
		return -err->code;
	manifest_put_head(&s->out, &s->head);
	return answer(s, WIRE_SOURCE, NULL, 0, err);
}

/* Positive: there is nothing more to do. */
static int prepare(struct serve *s, const struct wire_open *o, struct err *err)
{
	enum target_lv_found found;
	bool dry_run = o->flags & WIRE_DRY_RUN;
	int ret;

	if (s->spec.kind != SPEC_LVM)
		return 0;
	ret = target_lv_prepare(&s->spec, o->head.size, source_path(s), dry_run, &found, err);
	if (ret < 0)
		return ret;
	return o->flags & WIRE_PREPARE || (dry_run && found != TARGET_LV_GOOD);
}

static int begin(struct serve *s, const struct wire_open *o, struct err *err)
{
	struct target_plan plan = {.head = o->head,
		.source = source_path(s),
		.restore = o->flags & WIRE_RESTORE,
		.incremental = o->flags & WIRE_INCREMENTAL,
		.trust = o->flags & WIRE_TRUST,
		.resume = o->flags & WIRE_RESUME,
		.readback = o->flags & WIRE_READBACK,
		.dry_run = o->flags & WIRE_DRY_RUN,
		.threads = MAX_OF(MIN_OF(o->number, (uint32_t)PIPELINE_THREADS_MAX), 1U),
		.stop = s->rules->stop};

	s->target = target_local_new(&s->spec);
	if (!s->target)
		return err_set(err, ENOMEM, "out of memory");
	return s->target->ops->begin(s->target, &plan, &s->next, err);
}

static int open_target(struct serve *s, struct err *err)
{
	char text[SPEC_TEXT_MAX];
	struct wire_open o;
	int ret;

	if (take_open(s, true, &o, err) < 0)
		return -err->code;
	/* People read it, one day, on a terminal. */
	str_printable(text, sizeof(text), o.head.source, strlen(o.head.source));
	strcpy(o.head.source, text);
	s->head = o.head;
	ret = take_source(s, &o, err);
	if (ret == 0)
		ret = prepare(s, &o, err);
	if (ret == 0)
		ret = begin(s, &o, err);
	if (ret < 0 || make_buffers(s, err) < 0)
		return -err->code;
	s->done = o.flags & (WIRE_PREPARE | WIRE_DRY_RUN);
	buf_put_u64(&s->out, s->next);
	return answer(s, WIRE_READY, NULL, 0, err);
}

/* A piece that can be one of this copy's; the chunk gets its index and length. */
static int take_piece(struct serve *s, struct wire_piece *p, struct err *err)
{
	struct chunk *c = &s->chunk;

	if (!c->data || wire_get_piece(buf_bytes(&s->in), buf_len(&s->in), p) < 0 ||
		p->index >= manifest_chunks(&s->head) ||
		p->len != manifest_chunk_len(&s->head, p->index))
		return bad_frame(err);
	c->index = p->index;
	c->len = p->len;
	c->packed_len = 0;
	c->zero = c->same = false;
	return 0;
}

static int give_chunk(struct serve *s, struct err *err)
{
	struct chunk *c = &s->chunk;
	struct wire_piece p;
	int ret;

	if (!s->source || take_piece(s, &p, err) < 0)
		return bad_frame(err);
	ret = s->source->ops->read(s->source, c, p.flags & WIRE_KNOWN ? p.hash : NULL, err);
	if (ret < 0)
		return ret;
	c->same = c->same || p.flags & WIRE_CHECK;
	p.flags = (c->zero ? WIRE_ZERO : 0U) | (c->same ? WIRE_SAME : 0U);
	memcpy(p.hash, c->hash, CODEC_HASH);
	wire_put_piece(&s->out, &p);
	return answer(s, WIRE_CHUNK, c->data, c->zero || c->same ? 0 : c->len, err);
}

static int give_old(struct serve *s, struct err *err)
{
	struct wire_piece p;
	int ret;

	if (!s->target || take_piece(s, &p, err) < 0)
		return bad_frame(err);
	ret = s->target->ops->old(s->target, &s->chunk, p.hash, err);
	if (ret < 0)
		return ret;
	p.flags = ret > 0 ? WIRE_KNOWN : 0;
	wire_put_piece(&s->out, &p);
	return answer(s, WIRE_HAS, NULL, 0, err);
}

/* The chunk's bytes into c->data, so that they can be hashed. */
static int unpack(struct serve *s, const struct wire_piece *p, struct err *err)
{
	struct chunk *c = &s->chunk;

	if (p->flags & WIRE_PACKED) {
		if (p->bytes_len == 0 || p->bytes_len > c->room || !s->head.codec)
			return bad_frame(err);
		memcpy(c->packed, p->bytes, p->bytes_len);
		c->packed_len = p->bytes_len;
		return codec_unpack(s->head.codec, c->packed, c->packed_len, c->data, c->len) < 0
			? err_set(err, EBADMSG, "chunk %llu arrived damaged",
				  (unsigned long long)c->index)
			: 0;
	}
	if (s->head.codec || p->bytes_len != (c->zero ? 0 : c->len))
		return bad_frame(err);
	if (!c->zero)
		memcpy(c->data, p->bytes, c->len);
	return 0;
}

static int check_hash(struct serve *s, const struct wire_piece *p, struct err *err)
{
	struct chunk *c = &s->chunk;
	bool plain_zero = c->zero && !c->packed_len;

	if (plain_zero && c->len < s->head.chunk_size)
		memset(c->data, 0, c->len);
	if (plain_zero && c->len == s->head.chunk_size)
		memcpy(c->hash, s->zero, CODEC_HASH);
	else if (codec_hash(c->data, c->len, c->hash) < 0)
		return err_set(err, EIO, "SHA-256 failed");
	if (memcmp(c->hash, p->hash, CODEC_HASH) != 0)
		return err_set(
			err, EBADMSG, "chunk %llu arrived damaged", (unsigned long long)c->index);
	return 0;
}

static int take_chunk(struct serve *s, struct err *err)
{
	struct chunk *c = &s->chunk;
	struct wire_piece p;
	int ret = 0;

	if (!s->target || s->done || take_piece(s, &p, err) < 0 || p.index != s->next)
		return bad_frame(err);
	c->zero = p.flags & WIRE_ZERO;
	c->same = p.flags & WIRE_SAME;
	memcpy(c->hash, p.hash, CODEC_HASH);
	if (!c->same)
		ret = unpack(s, &p, err);
	if (ret == 0 && !c->same)
		ret = check_hash(s, &p, err);
	if (ret == 0)
		ret = s->target->ops->put(s->target, c, err);
	s->next++;
	return ret;
}

static int commit(struct serve *s, struct err *err)
{
	struct target_result result = {0};
	int ret;

	if (!s->target || s->done)
		return bad_frame(err);
	ret = s->target->ops->commit(s->target, &result, err);
	if (ret < 0)
		return ret;
	s->done = true;
	wire_put_result(&s->out, &result);
	return answer(s, WIRE_RESULT, NULL, 0, err);
}

static int finish(struct serve *s, struct err *err)
{
	int ret = s->source ? s->source->ops->finish(s->source, err) : bad_frame(err);

	s->done = ret == 0;
	return ret < 0 ? ret : answer(s, WIRE_OK, NULL, 0, err);
}

static int greet(struct serve *s, struct err *err)
{
	if (s->greeted || !wire_is_hello(buf_bytes(&s->in), buf_len(&s->in)))
		return bad_frame(err);
	s->greeted = true;
	wire_put_hello(&s->out);
	return answer(s, WIRE_HELLO, NULL, 0, err);
}

static int dispatch(struct serve *s, enum wire_type type, struct err *err)
{
	buf_clear(&s->out);
	if (type != WIRE_HELLO && !s->greeted)
		return bad_frame(err);
	switch (type) {
	case WIRE_HELLO:
		return greet(s, err);
	case WIRE_READ:
		return open_source(s, err);
	case WIRE_WRITE:
		return open_target(s, err);
	case WIRE_GET:
		return give_chunk(s, err);
	case WIRE_OLD:
		return give_old(s, err);
	case WIRE_PUT:
		return take_chunk(s, err);
	case WIRE_COMMIT:
		return commit(s, err);
	case WIRE_FINISH:
		return finish(s, err);
	default:
		return bad_frame(err);
	}
}

static int session(struct serve *s, struct err *err)
{
	enum wire_type type;
	struct err ignored;
	int ret;

	for (;;) {
		ret = link_receive(&s->link, &type, &s->in, err);
		if (ret == -EPIPE)
			return s->done ? 0 : err_set(err, EPIPE, "the other side has gone");
		if (ret == 0 && atomic_load(s->rules->stop))
			ret = err_set(err, EINTR, "interrupted");
		if (ret == 0)
			ret = dispatch(s, type, err);
		if (ret < 0)
			break;
	}
	buf_clear(&s->out);
	wire_put_error(&s->out, err);
	/* One line is enough, and it is the one that reaches a person: theirs. */
	if (answer(s, WIRE_ERROR, NULL, 0, &ignored) < 0)
		log_error("serving: %s", err->text);
	return ret;
}

int serve_run(const struct serve_rules *rules)
{
	struct serve s = {.rules = rules};
	struct err err = {0};
	int ret;

	link_init(&s.link, STDIN_FILENO, STDOUT_FILENO, "the other side");
	s.link.idle_ms = rules->idle_ms;
	buf_init(&s.in, WIRE_MAX);
	buf_init(&s.out, WIRE_MAX);
	ret = session(&s, &err);
	target_free(s.target);
	source_free(s.source);
	free(s.chunk.data);
	free(s.chunk.packed);
	buf_done(&s.in);
	buf_done(&s.out);
	return ret < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target on another host. Chunks are sent without waiting; an error over there comes back as soon
 * as something is sent or asked after it, and at the latest with the commit.
 */
#include "target_far.h"

#include "util.h"

#include <errno.h>
#include <string.h>

struct target_far {
	struct target target;
	const struct spec *spec;
	struct link *link;
	uint64_t chunks; /* of the copy */
};

static struct target_far *of(struct target *t)
{
	return container_of(t, struct target_far, target);
}

static uint32_t flags_of(const struct target_plan *p)
{
	return (p->incremental ? WIRE_INCREMENTAL : 0U) | (p->trust ? WIRE_TRUST : 0U) |
		(p->resume ? WIRE_RESUME : 0U) | (p->readback ? WIRE_READBACK : 0U) |
		(p->dry_run ? WIRE_DRY_RUN : 0U) | (p->prepare ? WIRE_PREPARE : 0U) |
		(p->restore ? WIRE_RESTORE : 0U);
}

static int far_begin(
	struct target *t, const struct target_plan *plan, uint64_t *ret_first, struct err *err)
{
	struct target_far *f = of(t);
	struct wire_open o = {.flags = flags_of(plan), .number = plan->threads, .head = plan->head};
	struct buf question, answer;
	int ret;

	if (plan->manifest)
		return err_set(err, EINVAL, "--manifest: only for a target on this host");
	spec_print(f->spec, true, o.spec);
	if (plan->far_source)
		spec_print(plan->far_source, true, o.source);
	f->chunks = manifest_chunks(&plan->head);
	buf_init(&question, WIRE_MAX);
	buf_init(&answer, WIRE_MAX);
	wire_put_open(&question, &o, true);
	ret = link_ask(f->link, WIRE_WRITE, &question, WIRE_READY, &answer, err);
	if (ret == 0 &&
		(buf_len(&answer) != 8 ||
			get_u64(buf_bytes(&answer)) > (plan->resume ? f->chunks : 0)))
		ret = err_set(err, EPROTO, "%s: an answer that makes no sense", f->spec->host);
	if (ret == 0)
		*ret_first = get_u64(buf_bytes(&answer));
	buf_done(&question);
	buf_done(&answer);
	return ret;
}

static int far_old(struct target *t, struct chunk *c, uint8_t hash[CODEC_HASH], struct err *err)
{
	struct target_far *f = of(t);
	struct wire_piece p = {.index = c->index, .len = (uint32_t)c->len};
	struct buf question, answer;
	int ret;

	buf_init(&question, WIRE_PIECE);
	buf_init(&answer, WIRE_MAX);
	wire_put_piece(&question, &p);
	ret = link_ask(f->link, WIRE_OLD, &question, WIRE_HAS, &answer, err);
	if (ret == 0 &&
		(wire_get_piece(buf_bytes(&answer), buf_len(&answer), &p) < 0 ||
			p.index != c->index))
		ret = err_set(err, EPROTO, "%s: an answer that makes no sense", f->spec->host);
	if (ret == 0 && p.flags & WIRE_KNOWN) {
		memcpy(hash, p.hash, CODEC_HASH);
		ret = 1;
	}
	buf_done(&question);
	buf_done(&answer);
	return ret;
}

static int far_put(struct target *t, struct chunk *c, struct err *err)
{
	struct target_far *f = of(t);
	struct wire_piece p = {
		.index = c->index, .len = (uint32_t)c->len, .bytes = c->data, .bytes_len = c->len};
	struct buf head;
	int ret;

	memcpy(p.hash, c->hash, CODEC_HASH);
	if (c->zero)
		p.flags |= WIRE_ZERO;
	if (c->same)
		p.flags |= WIRE_SAME;
	if (c->packed_len) {
		p.flags |= WIRE_PACKED;
		p.bytes = c->packed;
		p.bytes_len = c->packed_len;
	} else if (c->same || c->zero) {
		p.bytes_len = 0;
	}
	buf_init(&head, WIRE_PIECE);
	wire_put_piece(&head, &p);
	ret = link_send(f->link, WIRE_PUT, &head, p.bytes, p.bytes_len, err);
	buf_done(&head);
	return ret;
}

static int far_commit(struct target *t, struct target_result *ret_result, struct err *err)
{
	struct target_far *f = of(t);
	struct buf answer;
	int ret;

	buf_init(&answer, WIRE_MAX);
	ret = link_ask(f->link, WIRE_COMMIT, NULL, WIRE_RESULT, &answer, err);
	if (ret == 0 &&
		(wire_get_result(buf_bytes(&answer), buf_len(&answer), ret_result) < 0 ||
			ret_result->totals.chunks != f->chunks))
		ret = err_set(err, EPROTO, "%s: a result that makes no sense", f->spec->host);
	buf_done(&answer);
	return ret < 0 ? ret : link_close(f->link, err);
}

static void far_cut(struct target *t)
{
	link_cut(of(t)->link);
}

static void far_free(struct target *t)
{
	struct target_far *f = of(t);

	link_free(f->link);
	free(f);
}

static const struct target_ops far_ops = {.begin = far_begin,
	.old = far_old,
	.put = far_put,
	.commit = far_commit,
	.cut = far_cut,
	.free = far_free};

struct target *target_far_new(
	const struct spec *spec, const struct link_options *options, struct err *err)
{
	struct target_far *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	f->target.ops = &far_ops;
	f->spec = spec;
	f->link = link_new(spec->host, options, err);
	if (f->link)
		return &f->target;
	free(f);
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers a peer that called, one question after the other. A set's state and lock are taken for
 * each question and given back after it. Nothing the peer says ends more than the conversation:
 * what is wrong with a question is told by `refuse`, what is wrong with the protocol ends it. That
 * a shot was noticed (fenced.h) is not forgotten here, as we do not know what the asker makes of
 * our answers, but in our own rounds.
 */
#include "serve.h"

#include "beneath.h"
#include "clock.h"
#include "fenced.h"
#include "log.h"
#include "store.h"
#include "sync_inner.h"
#include "transfer_inner.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct serve {
	const struct config *config;
	struct talk *talk;
	struct state state; /* of the question */
};

static int say(struct serve *x, enum message_kind kind, struct err *err)
{
	struct message m = {.kind = kind};

	return talk_send(x->talk, &m, err);
}

/* R and its words, unless the conversation is over anyway. */
static int refuse(struct serve *x, int r, struct err *err)
{
	struct err lost = {0};

	if (talk_dead(x->talk))
		return r;
	return talk_refuse(x->talk, MESSAGE_REFUSE, r == -EBUSY ? TALK_BUSY : err->text, &lost);
}

static int answer_state(struct serve *x, struct err *err)
{
	struct message m = {.kind = MESSAGE_STATE};
	uint8_t definition[MANIFEST_HASH];
	struct state *s = &x->state;
	struct scan scan;
	int r = sync_side(s, false, &m.side, &scan, err);

	if (r < 0)
		return refuse(x, r, err);
	scan_done(&scan);
	state_peer_called(s);
	snprintf(m.set, sizeof(m.set), "%s", s->set->name);
	if (config_definition(s->set, definition) == 0)
		hash_to_hex(definition, m.definition);
	if (m.side.in_doubt)
		apply_peek(s, m.transaction);
	m.fenced = fenced_since_seen(x->config);
	return talk_send(x->talk, &m, err);
}

/* The generation follows an offer in any case. */
static void pass_over_generation(struct serve *x)
{
	struct generation unread;
	struct err err = {0};

	generation_init(&unread);
	talk_receive_generation(x->talk, &unread, &err);
	generation_done(&unread);
}

static int get_ready(struct state *s, struct err *err)
{
	char transaction[GENERATION_ID_MAX];
	bool in_doubt = false;
	int r = sync_recover(s, &in_doubt, transaction, err);

	return r == 0 && in_doubt
		? err_set(err, EAGAIN, "it is not known here how the last transaction ended")
		: r;
}

static int answer_offer(struct serve *x, const struct message *m, struct err *err)
{
	struct state *s = &x->state;
	int r = state_lock(s, SYNC_LOCK_MS, err);

	if (r == 0) {
		r = get_ready(s, err);
		if (r == 0) {
			r = transfer_receive(
				x->talk, s, m, sync_is_active(s->config, s->set), NULL, err);
			state_unlock(s);
			return r;
		}
		state_unlock(s);
	}
	pass_over_generation(x);
	return refuse(x, r, err);
}

/* What the asker gets: ours if it is ahead of its own, else one that is. */
static int choose(const struct state *s, const struct scan *scan, const struct message *m,
	struct generation *next, struct err *err)
{
	bool edited = s->now.number == 0 || !sync_same(scan->digest, s->now.digest);
	int r;

	if (edited && !m->publish)
		return err_set(err, EAGAIN, "files of set %s are being changed here", s->set->name);
	if (edited || vector_compare(&s->now.vector, &m->vector) != VECTOR_AHEAD)
		return sync_next(s, &scan->files, &m->vector, m->number, m->text, next, err);
	r = generation_copy(next, &s->now);
	return r < 0 ? err_sys(err, -r, "set %s", s->set->name) : 0;
}

/* The asker's side, as far as it is told. */
static struct plan_side side_of(const struct message *m)
{
	struct plan_side side = {.number = m->number, .vector = m->vector};

	memcpy(side.digest, m->hash, MANIFEST_HASH);
	return side;
}

static int fetch_locked(struct serve *x, const struct message *m, bool *told, struct err *err)
{
	struct plan_side me, peer = side_of(m);
	struct state *s = &x->state;
	struct generation next;
	struct scan scan;
	int r = sync_side(s, false, &me, &scan, err);

	if (r < 0)
		return r;
	if (state_is_frozen(s))
		r = err_set(err, EPERM, "set %s is on hold there", s->set->name);
	else if (me.unusable || me.in_doubt)
		r = err_set(err, EIO, "the files of set %s cannot be used there: %.300s",
			s->set->name, scan.faults[0] ? scan.faults[0] : "");
	else
		r = choose(s, &scan, m, &next, err);
	if (r == 0) {
		r = transfer_send(x->talk, s, &scan.files, &next, &peer, m->set_aside, me.active,
			NULL, told, err);
		generation_done(&next);
	}
	scan_done(&scan);
	return r;
}

static int answer_fetch(struct serve *x, const struct message *m, struct err *err)
{
	bool told = false;
	int r = state_lock(&x->state, SYNC_LOCK_MS, err);

	if (r == 0) {
		r = fetch_locked(x, m, &told, err);
		state_unlock(&x->state);
	}
	return r < 0 && !told ? refuse(x, r, err) : r;
}

static int answer_outcome(struct serve *x, const struct message *m, struct err *err)
{
	struct message a = {.kind = MESSAGE_OUTCOME};
	int r = sync_outcome(&x->state, m->transaction, err);

	if (r < 0)
		return refuse(x, r, err);
	a.result = (enum message_result)r;
	memcpy(a.set, m->set, sizeof(a.set));
	memcpy(a.transaction, m->transaction, sizeof(a.transaction));
	return talk_send(x->talk, &a, err);
}

static int answer_told(struct serve *x, const struct message *m, struct err *err)
{
	int r = sync_told_outcome(&x->state, m->transaction, m->result, err);

	return r < 0 ? refuse(x, r, err) : say(x, MESSAGE_OK, err);
}

static int answer_show(struct serve *x, struct err *err)
{
	struct state *s = &x->state;
	struct plan_side me;
	struct generation g;
	struct scan scan;
	int r = sync_side(s, false, &me, &scan, err);

	if (r < 0)
		return refuse(x, r, err);
	r = sync_live(s, &scan, "as they are", &g, err);
	scan_done(&scan);
	if (r < 0)
		return refuse(x, r, err);
	r = say(x, MESSAGE_OK, err);
	if (r == 0)
		r = talk_send_generation(x->talk, &g, err);
	generation_done(&g);
	return r;
}

/* Between the scan and now somebody may have put another file there, which is not for the peer. */
static int open_live(const struct entry *e)
{
	int fd = beneath_open(e->path, O_RDONLY), r;
	uint8_t hash[MANIFEST_HASH];
	struct stat st;
	uint64_t size;

	if (fd < 0)
		return fd;
	r = fstat(fd, &st) < 0 ? -errno
		: !S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size
		? -EAGAIN
		: scan_hash(fd, hash, &size);
	if (r == 0 && !sync_same(hash, e->hash))
		r = -EAGAIN;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* A content of the live files, or one that is kept. */
static int open_content(struct state *s, const uint8_t hash[MANIFEST_HASH], struct err *err)
{
	const struct entry *e;
	struct contents at;
	struct scan scan = {0};
	int fd = store_open(s->objects, hash), r;

	if (fd >= 0)
		return fd;
	r = scan_set(s->config, s->set, s->index, SCAN_QUICK, &scan, err);
	if (r < 0)
		return r;
	fd = -ENOENT;
	if (contents_init(&at, &scan.files) == 0) {
		e = contents_find(&at, hash);
		fd = e ? open_live(e) : -ENOENT;
		contents_done(&at);
	}
	scan_done(&scan);
	return fd < 0 ? err_sys(err, -fd, "a content of set %s", s->set->name) : fd;
}

static int answer_get(struct serve *x, const struct message *m, struct err *err)
{
	CLEANUP_FD int fd = open_content(&x->state, m->hash, err);
	struct stat st;

	if (fd < 0)
		return refuse(x, fd, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > SCAN_BYTES_MAX)
		return refuse(x, err_set(err, EIO, "that content is no more there"), err);
	return talk_send_data(x->talk, m->hash, (uint64_t)st.st_size, fd, err);
}

static int answer_agree(struct serve *x, const struct message *m, struct err *err)
{
	int r = state_lock(&x->state, SYNC_LOCK_MS, err);

	if (r == 0) {
		r = sync_agreed(&x->state, m, err);
		state_unlock(&x->state);
	}
	return r < 0 ? refuse(x, r, err) : say(x, MESSAGE_OK, err);
}

static int answer(struct serve *x, const struct message *m, struct err *err)
{
	switch (m->kind) {
	case MESSAGE_STATE_ASK:
		return answer_state(x, err);
	case MESSAGE_OFFER:
		return answer_offer(x, m, err);
	case MESSAGE_FETCH:
		return answer_fetch(x, m, err);
	case MESSAGE_OUTCOME_ASK:
		return answer_outcome(x, m, err);
	case MESSAGE_OUTCOME:
		return answer_told(x, m, err);
	case MESSAGE_SHOW:
		return answer_show(x, err);
	case MESSAGE_GET:
		return answer_get(x, m, err);
	default:
		return answer_agree(x, m, err);
	}
}

/* A set of the peer's that we do not share. */
static int no_set(struct serve *x, const struct message *m, struct err *err)
{
	if (m->kind == MESSAGE_OFFER)
		pass_over_generation(x);
	err_set(err, ENOENT, "there is no set %s in the configuration", m->set);
	return refuse(x, -ENOENT, err);
}

static bool is_question(enum message_kind kind)
{
	return kind == MESSAGE_STATE_ASK || kind == MESSAGE_OFFER || kind == MESSAGE_FETCH ||
		kind == MESSAGE_OUTCOME_ASK || kind == MESSAGE_OUTCOME || kind == MESSAGE_SHOW ||
		kind == MESSAGE_GET || kind == MESSAGE_AGREE;
}

static int on_question(struct serve *x, const struct message *m, struct err *err)
{
	const struct config_set *s;
	int r;

	if (!is_question(m->kind)) {
		talk_kill(x->talk);
		return err_set(
			err, EPROTO, "it says %s, which is no question", message_name(m->kind));
	}
	s = config_set(x->config, m->set);
	if (!s || s->kind == CONFIG_LOCAL)
		return no_set(x, m, err);
	r = state_open(&x->state, x->config, s, err);
	if (r < 0) {
		if (m->kind == MESSAGE_OFFER)
			pass_over_generation(x);
		return refuse(x, r, err);
	}
	r = answer(x, m, err);
	state_close(&x->state);
	return r;
}

/* 1: the conversation is over, as it should be. */
static int next(struct serve *x, struct err *err)
{
	struct message m = {0};
	int r = talk_receive(x->talk, &m, err);

	if (r == -EOPNOTSUPP)
		return refuse(x, r, err);
	if (r < 0)
		return r;
	if (m.kind == MESSAGE_BYE) {
		r = 1;
	} else {
		r = on_question(x, &m, err);
		if (r < 0 && r != -EBUSY && m.set[0])
			log_peer(LOG_LEVEL_WARN, "set %s: %s", m.set, err->text);
	}
	message_done(&m);
	return r == 1 || talk_dead(x->talk) ? (r ? r : -EPROTO) : 0;
}

static int converse(struct serve *x, struct err *err)
{
	int r = talk_hello(x->talk, x->config, true, err);

	while (r == 0) {
		*err = (struct err){0};
		r = next(x, err);
	}
	return r;
}

int serve(const struct config *c, const char *node, int in, int out)
{
	struct serve x = {.config = c};
	struct err err = {0};
	int r;

	if (!node || strcmp(node, c->peer->name) != 0) {
		log_error("--serve %s: the peer's name is %s (authorized_keys?)", node ? node : "",
			c->peer->name);
		return 1;
	}
	x.talk = talk_over(in, out, clock_ms() + c->general.deadline * 1000);
	if (!x.talk) {
		log_error("no memory");
		return 1;
	}
	r = converse(&x, &err);
	if (r < 0)
		log_peer(LOG_LEVEL_WARN, "conversation with %s: %s", c->peer->name, err.text);
	talk_end(x.talk);
	return r < 0;
}

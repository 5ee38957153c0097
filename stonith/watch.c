/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock of audits, and what is made of their results. A tick begins a round on each PDU that is
 * not in the middle of one; when a PDU's round is over, its findings are judged, and those of other
 * outlets of the same nodes that depend on them.
 */
#include "watch_inner.h"

#include "clock.h"
#include "lease.h"
#include "log.h"
#include "util.h"

#include <stdio.h>
#include <strings.h>
#include <sys/wait.h>

/* Findings. */

void watch_tell(struct watch *w, struct watch_find *f, enum watch_find_verdict v, const char *text)
{
	switch (watch_find_judge(f, v, text, clock_ms())) {
	case WATCH_BEGUN:
		w->begun++;
		log_error("alarm: %s", f->text);
		break;
	case WATCH_OVER:
		w->over++;
		log_info("over: %s", f->text);
		break;
	case WATCH_SAME:
		break;
	}
}

static void judge_node(struct watch *w, size_t node)
{
	const struct config_node *n = &w->config->nodes[node];
	char text[WATCH_FIND_TEXT_MAX];

	for (size_t i = 0; i < n->outlet_count; i++) {
		for (enum watch_find_kind k = WATCH_OFF; k < WATCH_OUTLET_END; k++) {
			enum watch_find_verdict v = watch_judge_outlet(
				k, &w->outlets[w->first[node]], n->outlet_count, i, n->name, text);

			watch_tell(w, watch_find_outlet(&w->finds, w->first[node] + i, k), v, text);
		}
	}
}

void watch_pdu_finished(struct watch_pdu *p)
{
	struct watch *w = p->watch;
	char text[WATCH_FIND_TEXT_MAX];

	for (enum watch_find_kind k = WATCH_LOST; k < WATCH_PDU_KINDS; k++) {
		enum watch_find_verdict v = watch_judge_pdu(k, &p->facts, text);

		watch_tell(w, watch_find_pdu(&w->finds, p->index, k), v, text);
	}
	for (size_t i = 0; i < p->part_count; i++)
		judge_node(w, (size_t)(p->parts[i].whole - w->config->nodes));
	watch_own_check(w);
	reactor_defer(w->reactor, &w->tell);
}

static void on_tell(struct reactor_task *t)
{
	struct watch *w = container_of(t, struct watch, tell);

	w->changed(w->arg);
}

/* Nodes behind a proxy. */

static void far_begin(struct watch_far *f)
{
	const struct shoot_order o = {.config = f->watch->config,
		.victim = f->node,
		.goal = FENCE_TEST,
		.who = "xnbd-stonithd"};

	if (!f->child.running && !lease_is_locked(o.config->general.run_directory, f->node->name))
		watch_child_start(&f->child, &o);
}

static void far_done(struct watch_child *c, const struct watch_child_answer *a)
{
	struct watch_far *f = container_of(c, struct watch_far, child);
	struct watch *w = f->watch;

	f->finished++;
	f->power = a->power;
	watch_tell(w, watch_find_node(&w->finds, f->index, WATCH_PROXY),
		a->ret < 0 ? WATCH_YES : WATCH_NO, a->text);
	reactor_defer(w->reactor, &w->tell);
}

/* Processes that a watch leaves behind, as nothing here waits. */

static void reap_left(struct watch *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->left_count; i++) {
		if (waitpid(w->left[i], NULL, WNOHANG) == 0)
			w->left[kept++] = w->left[i];
	}
	w->left_count = kept;
}

static void take_left(struct watch *w, const struct watch *old)
{
	size_t room = old->left_count + old->config->pdu_count * LANE_PIDS_MAX + old->far_count + 1;

	w->left = calloc(room, sizeof(*w->left));
	for (size_t i = 0; w->left && i < old->left_count; i++)
		w->left[w->left_count++] = old->left[i];
	for (size_t i = 0; w->left && i < old->config->pdu_count; i++)
		w->left_count += lane_pids(old->pdus[i].lane, &w->left[w->left_count]);
	for (size_t i = 0; w->left && i < old->far_count; i++) {
		if (old->fars[i].child.pid)
			w->left[w->left_count++] = old->fars[i].child.pid;
	}
	if (w->left && old->own.child.pid)
		w->left[w->left_count++] = old->own.child.pid;
}

/* Audits. */

static void begin(struct watch *w, bool again)
{
	const char *dir = w->config->general.run_directory;

	reap_left(w);
	w->audits++;
	w->audit_at = clock_ms();
	lease_prepare(dir, NULL); /* who needs it says so */
	watch_lock_follow(&w->lock, dir);
	for (size_t i = 0; i < w->config->pdu_count; i++)
		watch_pdu_begin(&w->pdus[i], again);
	for (size_t i = 0; i < w->far_count; i++)
		far_begin(&w->fars[i]);
}

static void on_tick(struct reactor_timer *t)
{
	struct watch *w = container_of(t, struct watch, tick);

	reactor_timer_set(w->reactor, t, w->config->general.audit_interval * 1000);
	begin(w, false);
}

static void on_soon(struct reactor_timer *t)
{
	begin(container_of(t, struct watch, soon), false);
}

void watch_start(struct watch *w)
{
	reactor_timer_set(w->reactor, &w->tick, w->config->general.audit_interval * 1000);
	begin(w, false);
}

void watch_now(struct watch *w)
{
	begin(w, true);
}

static void on_taken(void *arg, const char *node)
{
	struct watch *w = arg;
	const struct config_node *n = config_node(w->config, node);

	for (size_t i = 0; n && i < w->config->pdu_count; i++)
		watch_pdu_yield(&w->pdus[i], n);
	for (size_t i = 0; i < w->far_count; i++) {
		if (w->fars[i].node == n)
			watch_child_done(&w->fars[i].child);
	}
}

/* The whole. */

static int add_nodes(struct watch *w)
{
	const struct config *c = w->config;
	size_t at = 0;

	w->outlets = calloc(w->finds.outlets + 1, sizeof(*w->outlets));
	w->first = calloc(c->node_count + 1, sizeof(*w->first));
	w->fars = calloc(c->node_count + 1, sizeof(*w->fars));
	if (!w->outlets || !w->first || !w->fars)
		return -1;
	for (size_t i = 0; i < c->node_count; i++) {
		const struct config_node *n = &c->nodes[i];

		w->first[i] = at;
		for (size_t k = 0; k < n->outlet_count; k++)
			w->outlets[at++] = (struct watch_judge_outlet){
				.config = &n->outlets[k], .own = n == w->self};
		if (!n->proxy)
			continue;
		w->fars[w->far_count] = (struct watch_far){
			.watch = w, .node = n, .index = i, .power = FENCE_POWER_UNKNOWN};
		watch_child_init(&w->fars[w->far_count++].child, w->reactor, far_done);
	}
	return 0;
}

static int add_pdus(struct watch *w)
{
	w->pdus = calloc(w->config->pdu_count + 1, sizeof(*w->pdus));
	for (size_t i = 0; w->pdus && i < w->config->pdu_count; i++) {
		if (watch_pdu_init(&w->pdus[i], w, i) < 0)
			return -1;
	}
	return w->pdus ? 0 : -1;
}

struct watch *watch_new(
	struct reactor *r, const struct config *c, void (*changed)(void *arg), void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->reactor = r;
	w->config = c;
	w->self = config_self(c);
	w->tick.fn = on_tick;
	w->soon.fn = on_soon;
	w->tell.fn = on_tell;
	w->changed = changed;
	w->arg = arg;
	watch_own_init(w);
	if (watch_lock_init(&w->lock, r, on_taken, w) < 0)
		log_warn("shots of others cannot be followed");
	if (watch_find_init(&w->finds, c) < 0 || add_nodes(w) < 0 || add_pdus(w) < 0) {
		watch_free(w);
		return NULL;
	}
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	reactor_timer_cancel(w->reactor, &w->tick);
	reactor_timer_cancel(w->reactor, &w->soon);
	reactor_undefer(w->reactor, &w->tell);
	for (size_t i = 0; w->pdus && i < w->config->pdu_count; i++)
		watch_pdu_done(&w->pdus[i]);
	for (size_t i = 0; i < w->far_count; i++)
		watch_child_done(&w->fars[i].child);
	watch_child_done(&w->own.child);
	watch_lock_done(&w->lock);
	watch_find_done(&w->finds);
	free(w->pdus);
	free(w->fars);
	free(w->first);
	free(w->outlets);
	free(w->left);
	free(w);
}

/* What nobody looks for any more is over. */
static void drop_unasked(struct watch *w)
{
	for (size_t i = 0; i < w->config->node_count; i++) {
		const struct config_node *n = &w->config->nodes[i];

		if (!n->proxy)
			watch_tell(w, watch_find_node(&w->finds, i, WATCH_PROXY), WATCH_NO, "");
		if (n != w->self || !w->config->general.repair_own)
			watch_tell(w, watch_find_node(&w->finds, i, WATCH_REPAIR), WATCH_NO, "");
	}
}

void watch_take_over(struct watch *w, struct watch *old)
{
	take_left(w, old);
	watch_find_carry(&w->finds, &old->finds);
	for (size_t i = 0; i < old->finds.count; i++)
		watch_tell(old, &old->finds.finds[i], WATCH_NO, "");
	w->audits = old->audits;
	w->begun = old->begun;
	w->over = old->over;
	w->own.done = old->own.done;
	if (w->self && old->self && strcasecmp(w->self->name, old->self->name) == 0) {
		w->own.off_since = old->own.off_since;
		w->own.not_before = old->own.not_before;
		w->own.fails = old->own.fails;
	}
	drop_unasked(w);
}

size_t watch_findings(const struct watch *w)
{
	return watch_find_count(&w->finds);
}

bool watch_is_complete(const struct watch *w)
{
	for (size_t i = 0; i < w->config->pdu_count; i++) {
		if (w->pdus[i].finished == 0)
			return false;
	}
	for (size_t i = 0; i < w->far_count; i++) {
		if (w->fars[i].finished == 0)
			return false;
	}
	return true;
}

bool watch_is_switching(const struct watch *w)
{
	return w->own.child.running;
}

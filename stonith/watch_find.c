/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of findings: first those of PDUs, then of outlets, then of nodes, so that a number is
 * enough to find one.
 */
#include "watch_find.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	PDU = WATCH_PDU_KINDS,
	OUTLET = WATCH_OUTLET_END - WATCH_PDU_KINDS,
	NODE = WATCH_KINDS - WATCH_OUTLET_END,
};

static void add(struct watch_find_table *t, enum watch_find_kind first, enum watch_find_kind end,
	const struct watch_find *pattern)
{
	for (enum watch_find_kind k = first; k < end; k++) {
		struct watch_find *f = &t->finds[t->count++];

		*f = *pattern;
		f->kind = k;
	}
}

static void add_outlets(struct watch_find_table *t, const struct config_node *n)
{
	for (size_t i = 0; i < n->outlet_count; i++) {
		const struct watch_find f = {.node = n->name,
			.pdu = n->outlets[i].pdu->name,
			.outlet = n->outlets[i].text};

		add(t, WATCH_OFF, WATCH_OUTLET_END, &f);
	}
}

int watch_find_init(struct watch_find_table *t, const struct config *c)
{
	*t = (struct watch_find_table){.pdus = c->pdu_count};
	for (size_t i = 0; i < c->node_count; i++)
		t->outlets += c->nodes[i].outlet_count;
	t->finds = calloc(c->pdu_count * PDU + t->outlets * OUTLET + c->node_count * NODE + 1,
		sizeof(*t->finds));
	if (!t->finds)
		return -ENOMEM;
	for (size_t i = 0; i < c->pdu_count; i++)
		add(t, WATCH_LOST, WATCH_PDU_KINDS, &(struct watch_find){.pdu = c->pdus[i].name});
	for (size_t i = 0; i < c->node_count; i++)
		add_outlets(t, &c->nodes[i]);
	for (size_t i = 0; i < c->node_count; i++)
		add(t, WATCH_PROXY, WATCH_KINDS, &(struct watch_find){.node = c->nodes[i].name});
	return 0;
}

void watch_find_done(struct watch_find_table *t)
{
	free(t->finds);
	*t = (struct watch_find_table){0};
}

struct watch_find *watch_find_pdu(struct watch_find_table *t, size_t pdu, enum watch_find_kind kind)
{
	return &t->finds[pdu * PDU + kind];
}

struct watch_find *watch_find_outlet(
	struct watch_find_table *t, size_t outlet, enum watch_find_kind kind)
{
	return &t->finds[t->pdus * PDU + outlet * OUTLET + (kind - WATCH_OFF)];
}

struct watch_find *watch_find_node(
	struct watch_find_table *t, size_t node, enum watch_find_kind kind)
{
	return &t->finds[t->pdus * PDU + t->outlets * OUTLET + node * NODE + (kind - WATCH_PROXY)];
}

enum watch_find_event watch_find_judge(
	struct watch_find *f, enum watch_find_verdict verdict, const char *text, uint64_t now)
{
	bool was = f->on;

	if (verdict == WATCH_UNKNOWN)
		return WATCH_SAME;
	f->on = verdict == WATCH_YES;
	if (f->on)
		snprintf(f->text, sizeof(f->text), "%s", text);
	if (f->on == was)
		return WATCH_SAME;
	if (f->on)
		f->since = now;
	return f->on ? WATCH_BEGUN : WATCH_OVER;
}

size_t watch_find_count(const struct watch_find_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += t->finds[i].on;
	return n;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcasecmp(a, b) == 0 : a == b;
}

static void take_over(struct watch_find *f, struct watch_find_table *old)
{
	for (size_t i = 0; i < old->count; i++) {
		struct watch_find *o = &old->finds[i];

		if (!o->on || o->kind != f->kind || !same(o->node, f->node) ||
			!same(o->pdu, f->pdu) || !same(o->outlet, f->outlet))
			continue;
		f->on = true;
		f->since = o->since;
		memcpy(f->text, o->text, sizeof(f->text));
		o->on = false;
		return;
	}
}

void watch_find_carry(struct watch_find_table *t, struct watch_find_table *old)
{
	for (size_t i = 0; i < t->count; i++)
		take_over(&t->finds[i], old);
}

const char *watch_find_name(enum watch_find_kind kind)
{
	static const char *const names[WATCH_KINDS] = {[WATCH_LOST] = "pdu-lost",
		[WATCH_LOGIN] = "pdu-login",
		[WATCH_SYSTEM] = "pdu-system",
		[WATCH_READ_ONLY] = "pdu-read-only",
		[WATCH_OFF] = "outlet-off",
		[WATCH_UNREADABLE] = "outlet-unreadable",
		[WATCH_PENDING] = "outlet-pending",
		[WATCH_REFUSES] = "outlet-refuses",
		[WATCH_NAME] = "outlet-name",
		[WATCH_PROXY] = "node-proxy",
		[WATCH_REPAIR] = "node-repair"};

	return names[kind];
}

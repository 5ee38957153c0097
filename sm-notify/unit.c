/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units made from a list. A literal address is not stored again: it is in the list as text, and is
 * read from there when it is needed. The names of a unit are those of a run of records, which lie
 * side by side because each peer's are sorted.
 */
#include "unit.h"

#include "record.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

_Static_assert(sizeof(struct unit) == 32, "there may be very many");

/* Making them. */

static int by_mon_and_my(const void *a, const void *b)
{
	const struct monlist_record *x = a, *y = b;

	if (x->mon != y->mon)
		return x->mon < y->mon ? -1 : 1;
	return (x->my > y->my) - (x->my < y->my);
}

static void sort_records(struct monlist *l)
{
	for (uint32_t i = 0; i < l->peer_count; i++) {
		const struct monlist_peer *p = &l->peers[i];

		if (p->count > 1)
			qsort(&l->records[p->first], p->count, sizeof(l->records[0]),
				by_mon_and_my);
	}
}

/* Does a unit begin with record I of P? */
static bool is_start(const struct monlist *l, const struct monlist_peer *p, uint32_t i)
{
	const struct monlist_record *r = &l->records[p->first + i];

	return i == 0 || r[0].mon != r[-1].mon;
}

/* One whose interface is missing now may have it later. */
static bool is_literal(const char *text, bool *ret_v6)
{
	struct addr a;

	if (addr_parse(text, &a)) {
		*ret_v6 = !addr_is_v4(&a);
		return true;
	}
	*ret_v6 = true;
	return record_is_address(text) && strchr(text, '%') && strchr(text, ':');
}

static void set_up(const struct units *us, struct unit *u)
{
	const char *name, *other;
	bool v6 = false;

	u->literal = is_literal(unit_mon(us, u), &v6) || is_literal(unit_peer_name(us, u), &v6);
	u->one.v6 = u->literal && v6;
	plan_init(&u->plan, unit_lookup(us, u, &name, &other), u->literal);
}

static void make(struct units *us)
{
	const struct monlist *l = us->list;
	struct unit *u = us->all;

	for (uint32_t i = 0; i < l->peer_count; i++) {
		const struct monlist_peer *p = &l->peers[i];

		for (uint32_t k = 0; k < p->count; k++) {
			if (!is_start(l, p, k))
				continue;
			u->peer = i;
			u->record = p->first + k;
			set_up(us, u++);
		}
	}
}

int units_init(struct units *us, struct monlist *l, const struct self *self)
{
	*us = (struct units){.list = l, .self = self};
	sort_records(l);
	for (uint32_t i = 0; i < l->peer_count; i++) {
		for (uint32_t k = 0; k < l->peers[i].count; k++)
			us->count += is_start(l, &l->peers[i], k);
	}
	us->left = us->count;
	us->all = calloc(MAX_OF(us->count, 1U), sizeof(*us->all));
	if (!us->all)
		return -ENOMEM;
	make(us);
	return 0;
}

void units_done(struct units *us)
{
	for (uint32_t i = 0; us->all && i < us->count; i++) {
		if (us->all[i].is_many)
			free(us->all[i].many);
	}
	free(us->all);
	us->all = NULL;
}

/* Addresses. */

static bool literal_addr(const struct units *us, const struct unit *u, struct addr *ret)
{
	return addr_parse(unit_mon(us, u), ret) || addr_parse(unit_peer_name(us, u), ret);
}

static struct addr *addrs_of(struct plan_cand *cands, size_t count)
{
	return (struct addr *)(void *)(cands + count);
}

bool unit_addr(const struct units *us, const struct unit *u, uint8_t at, struct addr *ret)
{
	if (at == 0 && u->literal)
		return literal_addr(us, u, ret);
	*ret = addrs_of(u->many, u->plan.count)[at];
	return true;
}

bool unit_has(const struct units *us, const struct unit *u, const struct addr *a)
{
	struct addr own;

	for (uint8_t at = 0; at < u->plan.count; at++) {
		if (unit_addr(us, u, at, &own) && addr_equal(&own, a))
			return true;
	}
	return false;
}

bool unit_find(struct unit *u, uint32_t xid, uint8_t *ret_at, bool *ret_tells)
{
	const struct plan_cand *c = unit_cands(u);

	for (uint8_t at = 0; !u->over && at < u->plan.count; at++) {
		if (c[at].ask_xid != xid && c[at].tell_xid != xid)
			continue;
		*ret_at = at;
		*ret_tells = c[at].tell_xid == xid;
		return true;
	}
	return false;
}

/* The literal one, and behind it what was found, once each. */
static size_t gather(const struct units *us, const struct unit *u, const struct addr *found,
	size_t count, struct addr all[PLAN_CANDS_MAX])
{
	size_t n = u->literal;

	if (n > 0 && !unit_addr(us, u, 0, &all[0]))
		all[0] = (struct addr){0};
	for (size_t i = 0; i < count && n < PLAN_CANDS_MAX; i++) {
		if (!u->literal || !addr_equal(&found[i], &all[0]))
			all[n++] = found[i];
	}
	return n;
}

static bool is_same(const struct units *us, const struct unit *u, const struct addr *all, size_t n)
{
	if (n != u->plan.count)
		return false;
	for (size_t i = u->literal; i < n; i++) {
		if (!unit_has(us, u, &all[i]))
			return false;
	}
	return true;
}

static struct plan_cand take_over(
	const struct units *us, struct unit *u, const struct addr *a, bool literal)
{
	struct plan_cand c = {.v6 = !addr_is_v4(a)};
	struct addr own;

	if (literal)
		return unit_cands(u)[0];
	for (uint8_t at = u->literal; at < u->plan.count; at++) {
		if (unit_addr(us, u, at, &own) && addr_equal(&own, a))
			c = unit_cands(u)[at];
	}
	return c;
}

int unit_set_addrs(struct units *us, struct unit *u, const struct addr *addrs, size_t count)
{
	struct addr all[PLAN_CANDS_MAX];
	size_t n = gather(us, u, addrs, count, all);
	struct plan_cand *cands;

	if (is_same(us, u, all, n))
		return 0;
	cands = calloc(n, sizeof(struct plan_cand) + sizeof(struct addr));
	if (!cands)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		cands[i] = take_over(us, u, &all[i], i == 0 && u->literal);
		cands[i].busy = cands[i].waits = false;
	}
	memcpy(addrs_of(cands, n), all, n * sizeof(all[0]));
	if (u->is_many)
		free(u->many);
	u->many = cands;
	u->is_many = true;
	u->plan.count = (uint8_t)n;
	return 1;
}

bool unit_lookup(
	const struct units *us, const struct unit *u, const char **ret_name, const char **ret_other)
{
	const char *file = unit_peer_name(us, u), *mon = unit_mon(us, u);

	if (record_is_address(file))
		file = NULL;
	if (record_is_address(mon) || (file && strcasecmp(file, mon) == 0))
		mon = NULL;
	*ret_name = file ? file : mon;
	*ret_other = file ? mon : NULL;
	return *ret_name;
}

/* Names. */

static bool is_ours(const struct units *us)
{
	return us->self->name[0];
}

/* How many the one name we have, or the record at hand has, makes. */
static unsigned names(
	const struct units *us, const struct unit *u, const char **ret_text, size_t ret_lengths[2])
{
	*ret_text = is_ours(us) ? us->self->name
				: monlist_record_my(us->list, &us->list->records[u->record]);
	return record_names(*ret_text, ret_lengths);
}

const char *unit_name(const struct units *us, const struct unit *u, size_t *ret_len)
{
	const char *text;
	size_t lengths[2];
	unsigned n = names(us, u, &text, lengths);

	*ret_len = lengths[u->second && n > 1];
	return text;
}

/* Another record of the same mon_name. */
static bool has_next_record(const struct units *us, uint32_t peer, uint32_t record)
{
	const struct monlist_peer *p = &us->list->peers[peer];

	return record + 1 < p->first + p->count &&
		us->list->records[record + 1].mon == us->list->records[record].mon;
}

static bool has_short_name(const struct units *us, const struct unit *u)
{
	const char *text;
	size_t lengths[2];

	return !u->second && names(us, u, &text, lengths) > 1;
}

bool unit_has_more(const struct units *us, const struct unit *u)
{
	return has_short_name(us, u) || (!is_ours(us) && has_next_record(us, u->peer, u->record));
}

int unit_advance(struct units *us, struct unit *u, struct err *err)
{
	struct monlist_peer *p = &us->list->peers[u->peer];
	bool more = true;
	int ret = 0;

	if (has_short_name(us, u)) {
		u->second = true;
		return 0;
	}
	u->second = false;
	/* The names of one record, or one name for all of them. */
	for (uint32_t r = u->record; more; r++) {
		int dropped = monlist_drop(us->list, p, &us->list->records[r], ret ? NULL : err);

		ret = ret ? ret : dropped;
		more = is_ours(us) && has_next_record(us, u->peer, r);
	}
	u->record += has_next_record(us, u->peer, u->record);
	return ret;
}

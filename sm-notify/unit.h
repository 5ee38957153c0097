/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The units of a campaign: for each mon_name of a peer its candidates (plan.h) with their
 * addresses, and the names it still has to be told. 32 bytes for one with a literal address, so
 * that 100,000 fit in small memory; addresses that were looked up take some more.
 */
#ifndef SM_NOTIFY_UNIT_H
#define SM_NOTIFY_UNIT_H

#include "addr.h"
#include "err.h"
#include "monlist.h"
#include "plan.h"
#include "self.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unit {
	uint32_t peer;   /* of the list */
	uint32_t record; /* of the list: the one that is told; others of the same mon_name follow */
	union {
		struct plan_cand one;   /* the literal address */
		struct plan_cand *many; /* plan.count candidates, behind them their addresses */
	};
	struct plan plan;
	bool is_many : 1;
	bool literal : 1; /* candidate 0 is the address in the record, or the file's name */
	bool second : 1;  /* the short name is told */
	bool over : 1;    /* told, or given up: */
	bool told : 1;
	bool complained : 1; /* a refusal was logged */
};

struct units {
	struct monlist *list;
	const struct self *self;
	struct unit *all;
	uint32_t count;
	uint32_t left; /* not over */
};

/* Sorts the records of each peer by mon_name. 0 or -ENOMEM. */
int units_init(struct units *us, struct monlist *l, const struct self *self);
void units_done(struct units *us);

static inline struct plan_cand *unit_cands(struct unit *u)
{
	return u->is_many ? u->many : &u->one;
}

/* False: just now it has none (an interface that is not there). */
bool unit_addr(const struct units *us, const struct unit *u, uint8_t at, struct addr *ret);
/* Is A one of its addresses? */
bool unit_has(const struct units *us, const struct unit *u, const struct addr *a);
/* The one with this call number; *ret_tells: of a notification, else of a question. */
bool unit_find(struct unit *u, uint32_t xid, uint8_t *ret_at, bool *ret_tells);

/*
 * What was found is now its addresses, behind the literal one; candidates of the same address stay
 * as they are, but none is busy. 1: changed; 0: as before; -ENOMEM: as before, too.
 */
int unit_set_addrs(struct units *us, struct unit *u, const struct addr *addrs, size_t count);

/* What to look up: a name, and another one (NULL = none) if that has no address. */
bool unit_lookup(const struct units *us, const struct unit *u, const char **ret_name,
	const char **ret_other);

/* The name at hand; not terminated. */
const char *unit_name(const struct units *us, const struct unit *u, size_t *ret_len);
/* Is there another one behind it? */
bool unit_has_more(const struct units *us, const struct unit *u);
/*
 * The name at hand was acknowledged: goes on to the next one, and drops records that were told all
 * of theirs. 0, or what monlist_drop() says; it went on then, too.
 */
int unit_advance(struct units *us, struct unit *u, struct err *err);

static inline const char *unit_peer_name(const struct units *us, const struct unit *u)
{
	return monlist_peer_name(us->list, &us->list->peers[u->peer]);
}

static inline const char *unit_mon(const struct units *us, const struct unit *u)
{
	return monlist_record_mon(us->list, &us->list->records[u->record]);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a transaction on this node; see apply.h. Each writes its phase when what it promises
 * is durable, and the next one begins only then. What items are and how names are exchanged is in
 * the other files apply_*.c.
 */
#include "apply.h"

#include "apply_inner.h"
#include "meta.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void apply_new_id(char ret[GENERATION_ID_MAX])
{
	uint64_t n;

	while (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		;
	snprintf(ret, GENERATION_ID_MAX, "%016llx", (unsigned long long)n);
}

void apply_done(struct apply *a)
{
	for (size_t i = 0; i < a->item_count; i++)
		free(a->items[i].path);
	free(a->items);
	free(a->seen_live);
	free(a->seen_next);
	meta_names_free(a->names);
	manifest_done(&a->live);
	generation_done(&a->before);
	generation_done(&a->next);
	*a = (struct apply){0};
}

/* FN for the place of each item. */
static int each_place(struct apply *a,
	int (*fn)(struct apply *a, struct apply_item *i, const struct apply_place *p, void *arg,
		struct err *err),
	void *arg, struct err *err)
{
	int r = 0;

	for (size_t n = 0; n < a->item_count && r == 0; n++) {
		struct apply_item *i = &a->items[n];
		struct apply_place p;

		r = apply_place_open(a, i, &p);
		if (r < 0)
			return err_sys(err, -r, "%s: the folder it is in", i->path);
		r = fn(a, i, &p, arg, err);
		apply_place_close(&p);
	}
	return r;
}

/* Preparing. */

static int start(struct apply *a, struct state *s, enum apply_role role, const char *transaction,
	const struct manifest *live, const struct generation *next)
{
	*a = (struct apply){.state = s, .role = role};
	snprintf(a->transaction, sizeof(a->transaction), "%s", transaction);
	a->names = meta_names_new();
	a->seen_live = calloc(live->count + 1, sizeof(*a->seen_live));
	a->seen_next = calloc(next->files.count + 1, sizeof(*a->seen_next));
	if (!a->names || !a->seen_live || !a->seen_next ||
		generation_copy(&a->before, &s->now) < 0 || generation_copy(&a->next, next) < 0)
		return -ENOMEM;
	return manifest_copy(&a->live, live);
}

static int check_owners(struct apply *a, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < a->next.files.count && r == 0; i++) {
		struct err inner;

		r = meta_check(a->names, &a->next.files.entries[i], &inner);
		if (r < 0)
			err_set(err, -r, "%.200s: %s", a->next.files.entries[i].path, inner.text);
	}
	return r;
}

/* Before the first name appears. */
static int look_item(struct apply *a, struct apply_item *i, const struct apply_place *p, void *arg,
	struct err *err)
{
	int r = apply_ground_check(a, i, p, arg, err);

	return r == 0 ? apply_look(a, i, p, err) : r;
}

static int make_item(struct apply *a, struct apply_item *i, const struct apply_place *p, void *arg,
	struct err *err)
{
	return apply_make(a, i, p, *(bool *)arg, err);
}

/* A folder on the way has more in it than is synced one by one. */
static bool is_small(const struct apply *a)
{
	for (size_t n = 0; n < a->item_count; n++) {
		if (a->items[n].kind == APPLY_ADD && !a->items[n].new)
			return false;
	}
	return apply_make_count(a) <= APPLY_SYNC_SINGLE_MAX;
}

static int make_all(struct apply *a, struct err *err)
{
	struct apply_ground ground = {0};
	bool eagerly = is_small(a);
	int r = each_place(a, look_item, &ground, err);

	if (r == 0)
		r = each_place(a, make_item, &eagerly, err);
	if (r == 0)
		r = eagerly ? apply_sync_folders(a, err) : apply_sync_all(a, err);
	if (r == 0)
		r = apply_journal_made(a, err);
	return r == 0 ? apply_journal_phase(a, APPLY_PREPARED, err) : r;
}

/* Nothing has got its name yet. */
static int undo_preparing(struct apply *a, struct err *err)
{
	int r = apply_drop_unseen(a, err);

	return r == 0 ? apply_journal_end(a, err) : r;
}

static int prepare(struct apply *a, struct err *err)
{
	int r = check_owners(a, err);

	if (r == 0)
		r = apply_items_make(a, err);
	if (r == 0)
		r = apply_keep_contents(a, err);
	if (r == 0)
		r = apply_sync_live(&a->before.files, &a->live, err);
	if (r == 0)
		r = apply_journal_begin(a, err);
	if (r == 0)
		r = make_all(a, err);
	if (r < 0 && a->phase != APPLY_NONE) {
		a->phase = APPLY_PREPARING;
		undo_preparing(a, NULL); /* if that fails, recovery goes on with it */
	}
	return r;
}

int apply_prepare(struct apply *a, struct state *s, enum apply_role role, const char *transaction,
	const struct manifest *live, const struct generation *next, struct err *err)
{
	char other[GENERATION_ID_MAX];
	int r = start(a, s, role, transaction, live, next);

	if (r < 0)
		return err_sys(err, -r, "set %s", s->set->name);
	if (!generation_id_ok(transaction) || next->number == 0)
		return err_set(err, EINVAL, "set %s: this is no transaction", s->set->name);
	if (apply_peek(s, other) != APPLY_NONE)
		return err_set(err, EBUSY, "set %s: transaction %s has not ended: recover first",
			s->set->name, other);
	return prepare(a, err);
}

/* Committing. */

static int check_item(struct apply *a, struct apply_item *i, const struct apply_place *p, void *arg,
	struct err *err)
{
	(void)arg;
	return apply_look_again(a, i, p, err);
}

int apply_check(struct apply *a, struct err *err)
{
	return each_place(a, check_item, NULL, err);
}

/* Also after a crash in it. */
static int go_forward(struct apply *a, struct err *err)
{
	int r = 0;

	for (size_t n = 0; n < a->item_count && r == 0; n++)
		r = apply_move(a, &a->items[n], err);
	if (r == 0)
		r = apply_sync_folders(a, err);
	if (r == 0)
		r = state_set_generation(a->state, &a->next, err);
	return r == 0 ? apply_journal_phase(a, APPLY_COMMITTED, err) : r;
}

int apply_commit(struct apply *a, struct err *err)
{
	int r;

	if (a->phase != APPLY_PREPARED)
		return err_set(err, EINVAL, "set %s: nothing is prepared", a->state->set->name);
	r = apply_check(a, err);
	if (r == 0)
		r = apply_journal_phase(a, APPLY_COMMITTING, err);
	return r == 0 ? go_forward(a, err) : r;
}

/* Ending. */

static int drop_old(struct apply *a, struct err *err)
{
	int r = apply_drop(a, &a->live, a->seen_live, &a->before, err);

	return r == 0 ? apply_journal_end(a, err) : r;
}

static int drop_new(struct apply *a, struct err *err)
{
	int r = apply_drop(a, &a->next.files, a->seen_next, &a->next, err);

	return r == 0 ? apply_journal_end(a, err) : r;
}

int apply_finish(struct apply *a, struct err *err)
{
	int r = 0;

	if (a->phase != APPLY_COMMITTED && a->phase != APPLY_FINISHING)
		return err_set(err, EINVAL, "set %s: nothing is committed", a->state->set->name);
	if (a->phase == APPLY_COMMITTED)
		r = apply_journal_phase(a, APPLY_FINISHING, err);
	return r == 0 ? drop_old(a, err) : r;
}

/* Also after a crash in it. In the reverse order, so that folders have their old modes last. */
static int go_back(struct apply *a, struct err *err)
{
	int r = 0;

	for (size_t n = a->item_count; n > 0 && r == 0; n--)
		r = apply_move_back(a, &a->items[n - 1], err);
	if (r == 0)
		r = apply_sync_folders(a, err);
	if (r == 0)
		r = state_back_to(a->state, &a->before, a->why, err);
	if (r == 0)
		r = apply_journal_phase(a, APPLY_DROPPING, err);
	return r == 0 ? drop_new(a, err) : r;
}

static int give_up(struct apply *a, struct err *err)
{
	int r = apply_journal_phase(a, APPLY_DROPPING, err);

	return r == 0 ? drop_new(a, err) : r;
}

int apply_rollback(struct apply *a, const char *why, struct err *err)
{
	int r;

	str_printable(a->why, sizeof(a->why), why, strlen(why));
	a->recovering =
		true; /* what has vanished meanwhile does not keep the rest from going back */
	switch (a->phase) {
	case APPLY_NONE:
		return 0;
	case APPLY_PREPARING:
		return undo_preparing(a, err);
	case APPLY_PREPARED:
		return give_up(a, err);
	case APPLY_DROPPING:
		return drop_new(a, err);
	case APPLY_FINISHING:
		return err_set(err, EINVAL,
			"set %s: it is too late to go back: roll back to a "
			"generation of the history",
			a->state->set->name);
	default:
		r = apply_journal_phase(a, APPLY_ROLLING_BACK, err);
		return r == 0 ? go_back(a, err) : r;
	}
}

/* After a crash. */

static int go_on(struct apply *a, struct err *err)
{
	switch (a->phase) {
	case APPLY_PREPARING:
		return undo_preparing(a, err);
	case APPLY_PREPARED:
		return a->role == APPLY_RECEIVER ? 0 : give_up(a, err);
	case APPLY_COMMITTING:
		return go_forward(a, err);
	case APPLY_ROLLING_BACK:
		return go_back(a, err);
	case APPLY_FINISHING:
		return drop_old(a, err);
	case APPLY_DROPPING:
		return drop_new(a, err);
	default:
		return 0;
	}
}

int apply_recover(struct apply *a, struct state *s, struct err *err)
{
	int r;

	*a = (struct apply){.state = s, .recovering = true};
	a->names = meta_names_new();
	r = a->names ? apply_journal_read(a, err) : err_sys(err, ENOMEM, "%s", s->txn);
	if (r == -ENOENT)
		return 0;
	return r == 0 ? go_on(a, err) : r;
}

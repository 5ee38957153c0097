/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of a transaction; see apply.h. One that nobody here knows of was never decided, or is
 * so long ago that its generation was dropped from the history: in both cases the peer that asks is
 * to give it up, and gets the newest generation afterwards.
 */
#include "apply.h"
#include "apply_inner.h"
#include "message.h"
#include "state_inner.h"

#include <string.h>

enum apply_phase apply_peek(const struct state *s, char transaction[GENERATION_ID_MAX])
{
	enum apply_role role;

	return apply_journal_peek(s->txn, transaction, &role);
}

static int of_phase(enum apply_phase p)
{
	switch (p) {
	case APPLY_COMMITTING:
	case APPLY_COMMITTED:
	case APPLY_FINISHING:
		return MESSAGE_RESULT_COMMIT;
	case APPLY_ROLLING_BACK:
	case APPLY_DROPPING:
		return MESSAGE_RESULT_ABORT;
	default:
		return MESSAGE_RESULT_UNKNOWN;
	}
}

int apply_outcome(const struct state *s, const char *transaction)
{
	char found[GENERATION_ID_MAX];
	enum apply_phase p = apply_peek(s, found);

	if (p != APPLY_NONE && strcmp(found, transaction) == 0)
		return of_phase(p);
	if (s->now.number > 0 && strcmp(s->now.transaction, transaction) == 0)
		return MESSAGE_RESULT_COMMIT;
	return state_was_in_force(s, transaction) ? MESSAGE_RESULT_COMMIT : MESSAGE_RESULT_ABORT;
}

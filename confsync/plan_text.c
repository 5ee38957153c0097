/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done while the peer cannot be reached, and the words for plans; see plan.h. Words for
 * actions are also those of JSON and stay as they are; reasons are for people.
 */
#include "plan.h"

#include "util.h"

#include <string.h>

/* Without the peer only what it will be sent later can be made ready. */
static bool may_publish(const struct plan_side *me, enum plan_writer writer, enum plan_wish wish)
{
	if (wish == PLAN_PUSH_HERE || writer == PLAN_ANY)
		return true;
	return writer == PLAN_ACTIVE ? me->active : wish == PLAN_PUSH;
}

bool plan_is_emptied(const struct plan_side *s)
{
	return s->number > 0 && s->empty && memcmp(s->digest, s->live, MANIFEST_HASH) != 0;
}

struct plan plan_alone(const struct plan_side *me, enum plan_writer writer, enum plan_wish wish)
{
	struct plan p = {.action = PLAN_WAIT};

	if (me->in_doubt)
		p.why = PLAN_BECAUSE_IN_DOUBT;
	else if (wish == PLAN_PULL || wish == PLAN_KEEP_MINE || wish == PLAN_KEEP_THEIRS)
		p.why = PLAN_BECAUSE_WISH;
	else if (!me->number)
		p.why = PLAN_BECAUSE_FIRST;
	else if (memcmp(me->digest, me->live, MANIFEST_HASH) == 0)
		p = (struct plan){PLAN_NOTHING, PLAN_BECAUSE_IN_STEP, false};
	else if (me->unusable)
		p.why = PLAN_BECAUSE_UNUSABLE;
	else if (wish == PLAN_AUTO && plan_is_emptied(me) &&
		(may_publish(me, writer, wish) || writer != PLAN_ACTIVE))
		p.why = PLAN_BECAUSE_EMPTIED;
	else if (may_publish(me, writer, wish))
		p = (struct plan){PLAN_PUBLISH,
			wish == PLAN_AUTO ? PLAN_BECAUSE_AHEAD : PLAN_BECAUSE_WISH, false};
	else
		p.why = writer == PLAN_ACTIVE ? PLAN_BECAUSE_DRIFT_HERE : PLAN_BECAUSE_MANUAL;
	return p;
}

const char *plan_action_text(enum plan_action a)
{
	static const char *const texts[] = {[PLAN_NOTHING] = "nothing",
		[PLAN_SETTLE] = "settle",
		[PLAN_AGREE] = "agree",
		[PLAN_PUBLISH] = "publish",
		[PLAN_SEND] = "send",
		[PLAN_FETCH] = "fetch",
		[PLAN_FETCH_PUBLISH] = "fetch-publish",
		[PLAN_HOLD] = "hold",
		[PLAN_WAIT] = "wait"};

	return (size_t)a < ARRAY_LEN(texts) ? texts[a] : "?";
}

const char *plan_why_text(enum plan_why w)
{
	static const char *const texts[] = {[PLAN_BECAUSE_IN_STEP] = "both nodes have the same",
		[PLAN_BECAUSE_AHEAD] = "this node changed it",
		[PLAN_BECAUSE_BEHIND] = "the peer changed it",
		[PLAN_BECAUSE_BOTH] = "both nodes changed it",
		[PLAN_BECAUSE_FIRST] = "the nodes have not yet agreed on these files",
		[PLAN_BECAUSE_DRIFT_HERE] = "changed here, which is not the active node",
		[PLAN_BECAUSE_DRIFT_THERE] = "changed on the peer, which is not the active node",
		[PLAN_BECAUSE_MANUAL] = "a change waits for push",
		[PLAN_BECAUSE_UNUSABLE] = "the files here cannot be used",
		[PLAN_BECAUSE_UNUSABLE_THERE] = "the files of the peer cannot be used",
		[PLAN_BECAUSE_FENCED] =
			"the loser was powered off before it could say what it changed",
		[PLAN_BECAUSE_WISH] = "as was asked for",
		[PLAN_BECAUSE_TWO_ACTIVE] = "both nodes say that they are the active one",
		[PLAN_BECAUSE_EMPTIED] = "all its files are gone; `push` if that is meant",
		[PLAN_BECAUSE_EMPTIED_THERE] =
			"all its files are gone on the peer; `push` there if that is meant",
		[PLAN_BECAUSE_IN_DOUBT] = "it is not known how the last transaction ended"};

	return (size_t)w < ARRAY_LEN(texts) ? texts[w] : "?";
}

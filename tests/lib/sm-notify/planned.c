/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan's steps as text, and what its caller does with call numbers. */
#include "planned.h"

#include <stdio.h>
#include <string.h>

static const char *const methods[] = {"port2", "addr3", "addr4"};
static const char *const prots[] = {"udp", "tcp"};

static const char *word_of(enum plan_what what)
{
	if (what == PLAN_RESOLVE)
		return "resolve";
	return what == PLAN_NEXT ? "next" : "give-up";
}

static int print_step(const struct plan_step *s, char *out, size_t room)
{
	if (s->what == PLAN_ASK)
		return snprintf(out, room, "ask%u/%s:%s.%s", s->cand, prots[s->by],
			methods[s->method], prots[s->prot]);
	if (s->what == PLAN_TELL)
		return snprintf(out, room, "tell%u/%s:%u", s->cand, prots[s->by], s->port);
	return snprintf(out, room, "%s", word_of(s->what));
}

const char *planned_text(struct planned *t)
{
	size_t used = 0;

	t->text[0] = 0;
	for (size_t i = 0; i < t->steps.count; i++) {
		if (i > 0)
			t->text[used++] = ' ';
		used += (size_t)print_step(
			&t->steps.step[i], t->text + used, sizeof(t->text) - used);
	}
	return t->text;
}

void planned_draw(struct planned *t)
{
	for (size_t i = 0; i < t->steps.count; i++) {
		const struct plan_step *s = &t->steps.step[i];
		struct plan_cand *c = &t->cands[s->cand];

		if (s->by != RPC_UDP)
			continue;
		if (s->what == PLAN_ASK && !c->ask_xid)
			c->ask_xid = ++t->last_xid;
		if (s->what == PLAN_TELL && !c->tell_xid)
			c->tell_xid = ++t->last_xid;
	}
}

void planned_begin(struct planned *t, const char *families, bool named)
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < strlen(families); i++)
		t->cands[i].v6 = families[i] == '6';
	t->world = (struct plan_world){.now = PLANNED_START,
		.start = PLANNED_START,
		.deadline = UINT64_MAX,
		.v4 = true,
		.v6 = true,
		.copies = 3};
	plan_init(&t->plan, named, strlen(families));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holding back what modifies; see gate.h. */
#include "gate.h"

#include "exec.h"

#include <stddef.h>

void gate_init(struct gate *g)
{
	*g = (struct gate){.last = &g->held};
}

static void hold(struct gate *g, struct request *rq)
{
	rq->next = NULL;
	*g->last = rq;
	g->last = &rq->next;
}

bool gate_enter(struct gate *g, struct request *rq)
{
	if (!request_modifies(&rq->nbd))
		return true;
	if (g->closed) {
		hold(g, rq);
		return false;
	}
	rq->inside = true;
	g->inside++;
	return true;
}

static void check_empty(struct gate *g)
{
	void (*empty)(struct gate * g) = g->empty;

	if (g->inside > 0 || !empty)
		return;
	g->empty = NULL;
	empty(g);
}

void gate_leave(struct gate *g, struct request *rq)
{
	if (!rq->inside)
		return;
	rq->inside = false;
	g->inside--;
	check_empty(g);
}

void gate_close(struct gate *g, void (*empty)(struct gate *g))
{
	g->closed = true;
	g->empty = empty;
	check_empty(g);
}

void gate_open(struct gate *g)
{
	struct request *rq = g->held;

	g->closed = false;
	g->held = NULL;
	g->last = &g->held;
	while (rq) {
		struct request *next = rq->next;

		exec_go_on(rq);
		rq = next;
	}
}

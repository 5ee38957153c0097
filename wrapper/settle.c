/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See settle.h. All that is told in one turn is followed by one question, which the negotiator
 * answers in its turn: messages do not overtake each other. `wanted` is the number of the question
 * to come, if it is not sent yet, else of the last one.
 */
#include "settle.h"

#include "ipc.h"
#include "log.h"
#include "master.h"
#include "util.h"

void settle_open(struct master *m)
{
	reactor_timer_cancel(&m->reactor, &m->settle);
	m->gate.settled = m->gate.wanted;
	ctl_server_settled(&m->ctl);
}

static void too_late(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, settle);

	log_warn("the negotiator (pid %d) does not answer", (int)m->negotiator_pid);
	settle_open(m);
}

static void ask(struct reactor_task *t)
{
	struct master *m = container_of(t, struct master, sync);

	m->unsynced = false;
	if (m->negotiator.fd < 0)
		return;
	m->settle.fn = too_late;
	reactor_timer_set(&m->reactor, &m->settle, SETTLE_MS);
	chan_send(&m->negotiator, IPC_SYNC, &m->gate.wanted, sizeof(m->gate.wanted), -1);
}

void settle_changed(struct master *m)
{
	if (m->unsynced || m->ending || m->negotiator.fd < 0)
		return;
	m->sync.fn = ask;
	m->unsynced = true;
	m->gate.wanted++;
	reactor_defer(&m->reactor, &m->sync);
}

/* It may say what it likes: nothing but answers depends on it. */
void settle_synced(struct master *m, uint64_t number)
{
	if (number <= m->gate.settled || number > m->gate.wanted)
		return;
	m->gate.settled = number;
	if (number == m->gate.wanted)
		reactor_timer_cancel(&m->reactor, &m->settle);
	ctl_server_settled(&m->ctl);
}

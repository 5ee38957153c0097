/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the master looks from outside. Clients come and go by the thousand, and every line wakes the
 * manager up: so what has changed is told every STATUS_MS at most.
 */
#include "service.h"

#include "log.h"
#include "master.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { STATUS_MS = 10 * 1000 };

static void describe(const struct master *m, char *out, size_t room)
{
	unsigned servers = 0;

	for (const struct worker *w = m->workers; w; w = w->next)
		servers++;
	snprintf(out, room, "%zu exports, %u servers, %u clients", m->exports.count, servers,
		m->client_count);
}

static void look_again(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, service.timer);
	char now[sizeof(m->service.told)];

	describe(m, now, sizeof(now));
	if (strcmp(now, m->service.told) != 0)
		notify_status(&m->service.notify, now);
	memcpy(m->service.told, now, sizeof(now));
	reactor_timer_set(&m->reactor, t, STATUS_MS);
}

void service_init(struct master *m)
{
	struct err err;

	m->service.timer.fn = look_again;
	if (notify_init(&m->service.notify, &err) < 0)
		log_warn("%s", err.text);
}

void service_done(struct master *m)
{
	reactor_timer_cancel(&m->reactor, &m->service.timer);
	notify_done(&m->service.notify);
}

void service_ready(struct master *m)
{
	struct service *s = &m->service;

	if (!notify_wanted(&s->notify) || m->ending)
		return;
	describe(m, s->told, sizeof(s->told));
	notify_ready(&s->notify, s->told);
	reactor_timer_set(&m->reactor, &s->timer, STATUS_MS);
}

void service_reloading(struct master *m)
{
	if (!m->ending)
		notify_reloading(&m->service.notify);
}

void service_stopping(struct master *m, const char *why)
{
	reactor_timer_cancel(&m->reactor, &m->service.timer);
	notify_stopping(&m->service.notify, why);
}

void service_hand_on(struct master *m)
{
	notify_restore(&m->service.notify);
}

void service_take_back(struct master *m)
{
	(void)m;
	notify_hide();
}

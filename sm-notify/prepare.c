/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of the root phase; see prepare.h. Everything in sm and sm.bak is done with the rights of
 * their owner; `state`, /run and /proc with our own.
 */
#include "prepare.h"

#include "kernel.h"
#include "log.h"
#include "nsm_state.h"

#include <errno.h>

int prepare_open(struct prepared *p, const struct settings *s, struct err *err)
{
	int r;

	*p = (struct prepared){.settings = s, .guard.fd = -1};
	monlist_init(&p->list);
	r = monlist_open(&p->list, s->directory, err);
	if (r == 0)
		r = rights_init(&p->rights, p->list.owner, p->list.group, err);
	if (r < 0)
		return r;
	if (p->rights.root && p->list.owner == 0)
		log_warn("%s/sm belongs to root, so this runs as root; it should belong to "
			 "rpc.statd's user",
			p->list.path);
	guard_init(&p->guard, s->run_dir, s->proc_root, p->list.path, p->list.sm);
	return 0;
}

void prepare_done(struct prepared *p)
{
	guard_abandon(&p->guard);
	monlist_close(&p->list);
}

/* Who changes no number is not kept from repeating it. */
enum prepare_answer prepare_enter(struct prepared *p, pid_t *ret_pid)
{
	enum guard_outcome outcome = guard_look(&p->guard, ret_pid);
	bool guarded = !p->settings->force && p->settings->update_state;

	if (guarded && outcome == GUARD_DONE)
		return PREPARE_ALREADY;
	if (guard_lock(p->list.sm) < 0)
		return guarded && outcome != GUARD_NONE ? PREPARE_ALREADY : PREPARE_BUSY;
	p->resumed = guarded && outcome != GUARD_NONE;
	if (p->resumed)
		log_info("%s: a run of this boot did not tell all peers; going on with these",
			p->list.path);
	return PREPARE_GO;
}

void prepare_begin(struct prepared *p)
{
	if (p->settings->update_state && !p->resumed)
		guard_forget(&p->guard);
}

static int retire_and_load(struct prepared *p, struct err *err)
{
	int r = p->resumed ? 0 : monlist_retire(&p->list, err);

	return r < 0 ? r : monlist_load(&p->list, err);
}

static int borrowed(struct prepared *p, int (*fn)(struct prepared *, struct err *), struct err *err)
{
	int r = rights_borrow(&p->rights, err), back;

	if (r == 0)
		r = fn(p, err);
	back = rights_return(&p->rights, r == 0 ? err : NULL);
	return r < 0 ? r : back;
}

int prepare_records(struct prepared *p, struct err *err)
{
	return borrowed(p, retire_and_load, err);
}

static int load_in_place(struct prepared *p, struct err *err)
{
	return monlist_load_in_place(&p->list, err);
}

int prepare_look(struct prepared *p, struct err *err)
{
	return borrowed(p, load_in_place, err);
}

int prepare_state(struct prepared *p, struct err *err)
{
	bool update = p->settings->update_state && !p->resumed;
	struct err kernel = {0};
	int r = nsm_state_take(p->list.parent, update, &p->state, err);

	if (r == 0 && p->settings->kernel_state &&
		kernel_tell_state(p->settings->proc_root, p->state, &kernel) < 0)
		log_warn("%s", kernel.text);
	return r;
}

int prepare_nobody(struct prepared *p, struct err *err)
{
	struct err kernel = {0};

	if (!p->list.complete)
		return err_set(err, EIO,
			"%s: not all records could be read, so it is not certain that there is nobody to "
			"notify; the grace period is not shortened",
			p->list.path);
	if (p->settings->lift_grace && !p->resumed &&
		kernel_lift_grace(p->settings->proc_root, &kernel) < 0)
		log_warn("%s", kernel.text);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an operator does with a proxy: watch, copy, reconnect, switch. These may block and never run
 * in a lane. Comparing is in proxy_verify.c.
 */
#include "proxy_inner.h"

#include <errno.h>

enum { RECONNECT_MS = 15 * 1000, SWITCH_WAIT_MS = 20 };

void proxy_watch(struct proxy *p, void (*changed)(void *owner, const char *what), void *owner)
{
	p->owner = owner;
	p->changed = changed;
}

void proxy_status(struct proxy *p, struct proxy_status *ret)
{
	const struct blockmap *m = &p->layer.map;

	*ret = (struct proxy_status){.cache = p->cache,
		.bitmap = p->bitmap,
		.switched = p->switched,
		.block = m->block,
		.blocks = m->blocks,
		.cached = m->count,
		.written = bitmap_count(&m->written)};
	copier_progress(&p->copier, &ret->copy);
	pthread_mutex_lock(&p->origin_lock);
	if (p->origin)
		origin_status(p->origin, &ret->origin);
	pthread_mutex_unlock(&p->origin_lock);
	if (ret->copy.state == COPIER_RUNNING && ret->origin.state != ORIGIN_CONNECTED) {
		ret->copy.state = COPIER_WAITING;
		ret->copy.seconds_left = -1;
	}
}

int proxy_copy(struct proxy *p, const struct copier_settings *settings)
{
	return p->switched ? 0 : copier_start(&p->copier, settings);
}

void proxy_pause(struct proxy *p, bool paused)
{
	if (!p->switched)
		copier_pause(&p->copier, paused);
}

/* Switching. */

/* Absent blocks become zeros. Fetches under way end first: they hold their blocks. */
static int drop_absent(struct proxy *p)
{
	struct layer *l = &p->layer;

	while (l->map.count < l->map.blocks) {
		struct fill *f = layer_take_ahead(l, 0, l->map.blocks);
		int ret;

		if (!f) {
			usleep(SWITCH_WAIT_MS * 1000);
			continue;
		}
		ret = l->top->ops->zero(
			l->top, layer_offset(l, f->claim.first), layer_length(l, &f->claim), 0);
		layer_filled(f, ret);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Nothing is absent, so no fetch asks it any more; who compares or reconnects is told to stop. */
static void end_origin(struct proxy *p)
{
	struct origin *old;

	pthread_mutex_lock(&p->origin_lock);
	old = p->origin;
	p->origin = NULL;
	origin_interrupt(old);
	while (p->origin_users > 0)
		pthread_cond_wait(&p->origin_unused, &p->origin_lock);
	pthread_mutex_unlock(&p->origin_lock);
	origin_free(old);
}

static int become_target(struct proxy *p, struct err *err)
{
	int ret = blockmap_flush(&p->layer.map);

	if (ret < 0)
		return err_sys(err, -ret, "%s: not durable, still a proxy", p->cache);
	p->switched = true;
	p->layer.storage.mode = "target";
	end_origin(p);
	if (p->changed)
		p->changed(p->owner, "switched");
	return 0;
}

static int do_switch(struct proxy *p, bool force, uint64_t *ret_absent, struct err *err)
{
	uint64_t absent = p->layer.map.blocks - p->layer.map.count;
	int ret = 0;

	if (p->switched)
		return 0;
	*ret_absent = absent;
	if (absent > 0 && !force)
		return err_set(err, EAGAIN, "%llu of %llu blocks are not here yet",
			(unsigned long long)absent, (unsigned long long)p->layer.map.blocks);
	if (absent > 0)
		layer_break(&p->layer, ESHUTDOWN);
	origin_interrupt(p->origin); /* nobody needs it now, but the copier may be waiting for it */
	copier_stop(&p->copier);
	if (absent > 0)
		ret = drop_absent(p);
	if (ret < 0)
		return err_sys(err, -ret, "%s: absent blocks could not be zeroed", p->cache);
	return become_target(p, err);
}

static int do_reconnect(struct proxy *p, const char *uri, struct err *err)
{
	json_t *identity;
	int ret;

	if (p->switched)
		return err_set(err, EINVAL, "it is a target, and needs no origin");
	ret = origin_reconnect(p->origin, uri, RECONNECT_MS, err);
	if (ret < 0)
		return ret;
	identity = json_pack("{s:s, s:s}", "kind", "cache", "origin", uri);
	ret = blockmap_rename(&p->layer.map, identity, err);
	json_decref(identity);
	return ret;
}

/* One at a time; a verify beside them may wait for an origin that hangs. */

int proxy_switch(struct proxy *p, bool force, uint64_t *ret_absent, struct err *err)
{
	int ret;

	pthread_mutex_lock(&p->control);
	ret = do_switch(p, force, ret_absent, err);
	pthread_mutex_unlock(&p->control);
	return ret;
}

int proxy_reconnect(struct proxy *p, const char *uri, struct err *err)
{
	int ret;

	pthread_mutex_lock(&p->control);
	ret = do_reconnect(p, uri, err);
	pthread_mutex_unlock(&p->control);
	return ret;
}

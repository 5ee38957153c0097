/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that brings in what is absent. It goes round from block 0 to the end until nothing is
 * absent: blocks that clients were working on when it passed are met again. Its lock is never held
 * while the layer is called.
 */
#include "copier.h"

#include "clock.h"
#include "nbd.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
	BUSY_MS = 100,         /* look again whether clients are idle */
	CLAIMED_MS = 20,       /* the rest is claimed by others */
	RETRY_MS = 1000,       /* after a fill that failed */
	MEASURE_MS = 2000,     /* of speed */
	ZERO_BLOCKS = 1 << 18, /* zeroed at once */
};

static const uint64_t NS_PER_MS = 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000;
static const uint64_t BELOW_BYTES = 1ULL << 31; /* asked about at once */

const char *copier_state_name(enum copier_state state)
{
	static const char *const names[] = {"none", "running", "paused", "waiting", "done"};

	return names[state];
}

void copier_init(struct copier *c, struct layer *l, const struct copier_ops *ops, void *owner)
{
	pthread_condattr_t attr;

	*c = (struct copier){.layer = l, .ops = ops, .owner = owner};
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->event, &attr);
	pthread_condattr_destroy(&attr);
}

/* With the lock held from here on, but where it says so. */

static void set_state(struct copier *c, enum copier_state state)
{
	if (c->state == state)
		return;
	c->state = state;
	if (!c->ops->changed)
		return;
	pthread_mutex_unlock(&c->lock);
	c->ops->changed(c->owner);
	pthread_mutex_lock(&c->lock);
}

static void sleep_until(struct copier *c, uint64_t ns)
{
	struct timespec until = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};

	if (!c->stopping)
		pthread_cond_timedwait(&c->event, &c->lock, &until);
}

static void sleep_ms(struct copier *c, uint64_t ms)
{
	sleep_until(c, clock_ns() + ms * NS_PER_MS);
}

/* After a failure all of the time passes, however many other fills end or fail meanwhile. */
static void back_off(struct copier *c)
{
	uint64_t end = clock_ns() + RETRY_MS * NS_PER_MS;

	while (!c->stopping && clock_ns() < end)
		sleep_until(c, end);
	c->error = 0;
	c->pos = 0;
}

static void measure(struct copier *c)
{
	uint64_t now = clock_ns(), passed = now - c->measured;

	if (passed < MEASURE_MS * NS_PER_MS)
		return;
	c->speed = (uint64_t)((double)(c->moved - c->measured_moved) * 1e9 / (double)passed);
	c->measured = now;
	c->measured_moved = c->moved;
}

/* Tokens for a tenth of a second at most, so that a pause is not made up for. */
static void refill(struct copier *c)
{
	uint64_t now = clock_ns(), passed = MIN_OF(now - c->refilled, NS_PER_S / 10);
	int64_t most = MAX_OF((int64_t)(c->settings.rate / 10), 1L);

	c->refilled = now;
	c->tokens += (int64_t)((double)c->settings.rate * (double)passed / 1e9);
	c->tokens = MIN_OF(c->tokens, most);
}

/* Ms until the rate allows more. */
static uint64_t must_wait(struct copier *c)
{
	if (c->settings.rate == 0)
		return 0;
	refill(c);
	if (c->tokens > 0)
		return 0;
	return MIN_OF((uint64_t)(1 - c->tokens) * 1000 / c->settings.rate + 1, (uint64_t)BUSY_MS);
}

/* Why nothing may be begun now; false: it may. */
static bool held_up(struct copier *c)
{
	uint64_t ms = must_wait(c);

	if (c->paused) {
		set_state(c, COPIER_PAUSED);
		if (c->paused) /* it may have ended while we told of it */
			sleep_ms(c, RETRY_MS);
	} else if (c->error) {
		set_state(c, COPIER_WAITING);
		back_off(c);
	} else if (c->settings.idle && c->ops->busy && c->ops->busy(c->owner)) {
		set_state(c, COPIER_WAITING);
		sleep_ms(c, BUSY_MS);
	} else if (c->in_flight >= c->pace.window) {
		sleep_ms(c, RETRY_MS);
	} else if (ms > 0) {
		sleep_ms(c, ms);
	} else {
		return false;
	}
	return true;
}

/* Without the lock: a fill of ours is over. */
static void told(struct fill *f, int result)
{
	struct copier *c = f->owner;
	uint64_t bytes = layer_length(f->layer, &f->claim);

	pthread_mutex_lock(&c->lock);
	c->in_flight--;
	pace_end(&c->pace, clock_ns());
	if (result < 0)
		c->error = -result;
	else
		c->moved += bytes;
	pthread_cond_broadcast(&c->event);
	pthread_mutex_unlock(&c->lock);
}

/* Without the lock: the run of what is below at byte OFFSET. */
static int run_below(struct copier *c, uint64_t offset, struct extent *ret)
{
	uint64_t size = c->layer->map.size;

	if (offset < c->run_at)
		c->run_count = 0;
	while (c->run < c->run_count && offset >= c->run_at + c->runs[c->run].length)
		c->run_at += c->runs[c->run++].length;
	if (c->run >= c->run_count) {
		int n = c->ops->below(c->owner, offset, MIN_OF(size - offset, BELOW_BYTES), c->runs,
			COPIER_EXTENTS);

		c->run = c->run_count = 0;
		if (n <= 0)
			return n < 0 ? n : -EIO;
		c->run_count = n;
		c->run_at = offset;
	}
	*ret = c->runs[c->run];
	ret->length -= offset - c->run_at;
	return 0;
}

/* Without the lock: zeros, no need to fetch them. The blocks end at *ret_next. */
static int fill_zeros(struct copier *c, uint64_t from, uint64_t end, uint64_t *ret_next)
{
	struct layer *l = c->layer;
	struct fill *f = layer_take_ahead(l, from, MIN_OF(end, from + ZERO_BLOCKS));
	int ret;

	*ret_next = MIN_OF(end, from + ZERO_BLOCKS);
	if (!f)
		return 0;
	*ret_next = f->claim.first + f->claim.count;
	ret = l->top->ops->zero(
		l->top, layer_offset(l, f->claim.first), layer_length(l, &f->claim), 0);
	layer_filled(f, ret);
	return ret;
}

/* The block behind the last one that lies in the run from block POS on as a whole. */
static uint64_t run_end(const struct layer *l, uint64_t pos, const struct extent *run)
{
	uint64_t end = pos * l->map.block + run->length;

	return end >= l->map.size ? l->map.blocks : end / l->map.block;
}

/*
 * Without the lock: begins something at block POS, which is absent. 1 = a fill of at most UNIT
 * blocks, and where it ends; 0 = nothing to fetch up to there; -EAGAIN = no fill is free.
 */
static int begin(struct copier *c, uint64_t pos, uint64_t unit, uint64_t *ret_next)
{
	struct layer *l = c->layer;
	struct extent run;
	uint64_t end;
	int ret;

	ret = run_below(c, pos * l->map.block, &run);
	if (ret < 0)
		return ret;
	end = run_end(l, pos, &run);
	if ((run.state & NBD_STATE_ZERO) && end > pos)
		return fill_zeros(c, pos, end, ret_next);
	*ret_next = end = MAX_OF(end, pos + 1);
	return layer_fill_ahead(l, pos, end, unit, false, told, c, ret_next);
}

/* Bytes of the fill that was begun, or a few more if it had to step over blocks of others. */
static uint64_t cost(const struct layer *l, uint64_t from, uint64_t next, uint64_t unit)
{
	uint64_t longest = MAX_OF(l->layer_ops->fill_bytes / l->map.block, 1UL);

	longest = MIN_OF(longest, unit);
	return MIN_OF(next - from, longest) * l->map.block;
}

static void begin_some(struct copier *c)
{
	const struct layer *l = c->layer;
	uint64_t unit = c->settings.unit ? c->settings.unit : UINT64_MAX;
	uint64_t next = l->map.blocks, from = bitmap_find(&l->map.present, c->pos, false);
	int ret = 0;

	c->in_flight++; /* told() may come before we are back */
	pace_begin(&c->pace, clock_ns());
	pthread_mutex_unlock(&c->lock);
	if (from < l->map.blocks)
		ret = begin(c, from, unit, &next);
	pthread_mutex_lock(&c->lock);
	if (ret == 1) {
		c->tokens -= c->settings.rate ? (int64_t)cost(l, from, next, unit) : 0;
	} else {
		c->in_flight--;
		pace_undo(&c->pace);
	}
	if (ret >= 0)
		c->pos = next;
	else if (ret != -EAGAIN)
		c->error = -ret;
	else
		sleep_ms(c, CLAIMED_MS);
	set_state(c, c->error ? COPIER_WAITING : COPIER_RUNNING);
}

static bool is_complete(const struct copier *c)
{
	return c->layer->map.count == c->layer->map.blocks;
}

/* Round again: something was claimed, or has failed. */
static void next_round(struct copier *c)
{
	if (!c->error && !is_complete(c))
		sleep_ms(c, CLAIMED_MS);
	if (c->in_flight == 0)
		c->pos = 0;
}

/* Without the lock. */
static void finish(struct copier *c)
{
	int ret = blockmap_flush(&c->layer->map);

	c->ops->complete(c->owner, ret);
	pthread_mutex_lock(&c->lock);
	set_state(c, COPIER_DONE);
	pthread_mutex_unlock(&c->lock);
}

static void *run(void *arg)
{
	struct copier *c = arg;
	bool complete;

	pthread_mutex_lock(&c->lock);
	while (!c->stopping && !c->layer->broken && !is_complete(c)) {
		measure(c);
		if (held_up(c))
			continue;
		if (c->pos >= c->layer->map.blocks)
			next_round(c);
		else
			begin_some(c);
	}
	while (c->in_flight > 0)
		pthread_cond_wait(&c->event, &c->lock);
	complete = is_complete(c);
	pthread_mutex_unlock(&c->lock);
	if (complete)
		finish(c);
	else if (c->layer->broken)
		c->ops->complete(c->owner, -c->layer->broken);
	return NULL;
}

static int start_thread(struct copier *c)
{
	sigset_t all, old;
	int ret;

	c->state = COPIER_RUNNING;
	c->stopping = false;
	pace_init(&c->pace);
	c->refilled = c->measured = clock_ns();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->started = ret == 0;
	if (ret < 0)
		c->state = COPIER_NONE;
	return ret;
}

int copier_start(struct copier *c, const struct copier_settings *settings)
{
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	c->settings = *settings;
	c->tokens = 0; /* debts of another rate do not count */
	c->paused = false;
	if (!c->started)
		ret = start_thread(c);
	pthread_cond_broadcast(&c->event);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void copier_pause(struct copier *c, bool paused)
{
	pthread_mutex_lock(&c->lock);
	c->paused = paused;
	pthread_cond_broadcast(&c->event);
	pthread_mutex_unlock(&c->lock);
}

void copier_stop(struct copier *c)
{
	bool started;

	pthread_mutex_lock(&c->lock);
	started = c->started;
	c->started = false;
	c->stopping = true;
	pthread_cond_broadcast(&c->event);
	pthread_mutex_unlock(&c->lock);
	if (started)
		pthread_join(c->thread, NULL);
}

void copier_done(struct copier *c)
{
	if (!c->ops)
		return;
	copier_stop(c);
	pthread_cond_destroy(&c->event);
	pthread_mutex_destroy(&c->lock);
	c->ops = NULL;
}

void copier_progress(struct copier *c, struct copier_progress *ret)
{
	uint64_t left = (c->layer->map.blocks - c->layer->map.count) * c->layer->map.block;

	pthread_mutex_lock(&c->lock);
	*ret = (struct copier_progress){.state = c->state,
		.rate = c->state == COPIER_RUNNING ? c->speed : 0,
		.limit = c->settings.rate,
		.seconds_left = -1};
	if (c->paused && c->state != COPIER_DONE)
		ret->state = COPIER_PAUSED;
	ret->code = c->error;
	if (c->error)
		snprintf(ret->error, sizeof(ret->error), "%s", strerror(c->error));
	pthread_mutex_unlock(&c->lock);
	if (ret->rate > 0)
		ret->seconds_left = (int64_t)(left / ret->rate);
	if (left == 0 && ret->state == COPIER_NONE)
		ret->state = COPIER_DONE;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See plans.h. */
#include "plans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct plans plans;

static void reset(struct plans_side *s)
{
	*s = (struct plans_side){0};
	key_init_all(&wrapper_keys, &s->config.wrapper);
	s->config.exports = s->exports;
	s->side = (struct plan_side){&s->options, &s->config};
}

int plans_set_up(void **state)
{
	(void)state;
	plans.table = (struct exports){0};
	plans.plan = (struct plan){0};
	reset(&plans.before);
	reset(&plans.after);
	return 0;
}

int plans_tear_down(void **state)
{
	(void)state;
	plan_done(&plans.plan);
	exports_done(&plans.table);
	return 0;
}

struct export_config *plans_give(struct plans_side *s, struct export_config c)
{
	assert_true(s->config.count < PLANS_EXPORTS_MAX);
	if (!c.image)
		c.image = "/i";
	c.source = EXPORT_FROM_CONFIG;
	s->exports[s->config.count] = c;
	return &s->exports[s->config.count++];
}

struct export_entry *plans_serve(struct export_config c)
{
	struct export_entry *e = NULL;

	if (!c.image)
		c.image = "/i";
	assert_int_equal(exports_add(&plans.table, &c, &e, NULL), 0);
	return e;
}

struct export_config *plans_keep(struct export_config c)
{
	c.source = EXPORT_FROM_CONFIG;
	plans_give(&plans.before, c);
	plans_serve(c);
	return plans_give(&plans.after, c);
}

struct export_config *plans_keep_plain(const char *name)
{
	return plans_keep((struct export_config){.name = name});
}

struct export_entry *plans_serve_from(enum export_source source, const char *name)
{
	return plans_serve((struct export_config){.name = name, .source = source});
}

static void add_line(void *arg, const char *line)
{
	(void)arg;
	strcat(plans.lines, line);
	strcat(plans.lines, "\n");
}

void plans_make(void)
{
	plan_done(&plans.plan);
	assert_int_equal(
		plan_make(&plans.table, &plans.before.side, &plans.after.side, &plans.plan), 0);
}

void plans_expect_way(enum plan_way way, const char *want)
{
	plans.lines[0] = 0;
	plan_each_line(&plans.plan, way, add_line, NULL);
	assert_string_equal(plans.lines, want);
}

void plans_expect(const char *want)
{
	plans_make();
	plans_expect_way(PLAN_REFUSE, want);
}

struct plan_row *plans_row(const char *name)
{
	for (size_t i = 0; i < plans.plan.count; i++) {
		if (strcmp(plans.plan.rows[i].name, name) == 0)
			return &plans.plan.rows[i];
	}
	fail_msg("no row '%s'", name);
	return NULL;
}

void plans_drain(struct export_entry *e, const struct export_config *next)
{
	e->draining = true;
	if (!next)
		return;
	e->next = malloc(sizeof(*e->next));
	assert_non_null(e->next);
	assert_int_equal(export_config_copy(e->next, next), 0);
}

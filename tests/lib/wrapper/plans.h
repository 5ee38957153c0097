/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests of plans share: a table, a configuration before and one after, and the plan between
 * them, as lines.
 */
#ifndef TESTS_WRAPPER_PLANS_H
#define TESTS_WRAPPER_PLANS_H

#include "plan.h"

enum { PLANS_EXPORTS_MAX = 16, PLANS_LINES_MAX = 8 * 1024 };

struct plans_side {
	struct export_config exports[PLANS_EXPORTS_MAX];
	struct config config;
	struct wrapper_options options;
	struct plan_side side;
};

extern struct plans {
	struct exports table;
	struct plans_side before, after;
	struct plan plan;
	char lines[PLANS_LINES_MAX];
} plans;

int plans_set_up(void **state);
int plans_tear_down(void **state);

/* The file S has C, with the image "/i" if it has none. */
struct export_config *plans_give(struct plans_side *s, struct export_config c);
/* It is in the table. */
struct export_entry *plans_serve(struct export_config c);
struct export_entry *plans_serve_from(enum export_source source, const char *name);
/* Read before, and served since; and in the new file too, which is returned. */
struct export_config *plans_keep(struct export_config c);
struct export_config *plans_keep_plain(const char *name);
/* It waits for its clients to leave. */
void plans_drain(struct export_entry *e, const struct export_config *next);

void plans_make(void);
struct plan_row *plans_row(const char *name);
/* The lines of the plan that was made; of a new one. */
void plans_expect_way(enum plan_way way, const char *want);
void plans_expect(const char *want);

#endif

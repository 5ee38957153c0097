/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-stonith verify-map`: would a shot work, and would it be the right outlets? Of each node:
 * the PDUs are those configured, all outlets can be read and are switchable, commands are accepted
 * (a cancel, where the family has one; nothing is switched), and names are as configured.
 */
#include "command.h"
#include "log.h"
#include "record.h"
#include "report.h"
#include "shoot.h"
#include "survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct map {
	const struct options *options;
	const struct config *config;
	struct reactor reactor;
	struct shoot_result result;
	bool surveyed;
	json_t *nodes; /* NULL: for people */
	bool good;
};

static void surveyed(void *arg)
{
	((struct map *)arg)->surveyed = true;
}

static bool is_surveyed(void *arg)
{
	return ((struct map *)arg)->surveyed;
}

static json_t *outlet_document(const struct map *m, const struct config_outlet *o, size_t i,
	const struct survey_outlet *found)
{
	json_t *d = record_outlet(&m->result, i);

	if (o && o->name)
		json_object_set_new(d, "name-configured", json_string(o->name));
	if (found && found->has_name)
		json_object_set_new(d, "name", json_string(found->name));
	if (found && found->has_watts)
		json_object_set_new(d, "watts", json_integer(found->watts));
	if (o && found)
		json_object_set_new(d, "renamed", json_boolean(survey_differs(o, found)));
	return d;
}

static void print_outlet(const struct map *m, const struct config_outlet *o, size_t i,
	const struct survey_outlet *found)
{
	char trouble[160];
	bool bad = record_trouble(&m->result, i, trouble, sizeof(trouble));

	printf("  %s: %s%s", m->result.names[i], bad ? "TROUBLE: " : "", trouble);
	if (found && found->has_watts)
		printf(", %d W", found->watts);
	if (found && found->has_name)
		printf(", called \"%s\"", found->name);
	if (o && found && survey_differs(o, found))
		printf(" - WRONG NAME, should be \"%s\"", o->name);
	else if (o && o->name && found && !found->has_name)
		printf(", name not known (%s)", found->why[0] ? found->why : "the family has none");
	putchar('\n');
}

static void show_node(struct map *m, const struct config_node *n, const struct survey *s, bool good,
	const char *why)
{
	json_t *d = json_object(), *outlets = json_array();

	if (!m->nodes)
		printf("%s: %s%s%s\n", n->name, good ? "good" : "NOT GOOD", why[0] ? ": " : "",
			why);
	for (size_t i = 0; i < m->result.fence.outlet_count; i++) {
		const struct config_outlet *o = s ? &n->outlets[i] : NULL;
		const struct survey_outlet *found = s ? survey_outlet(s, i) : NULL;

		if (m->nodes)
			json_array_append_new(outlets, outlet_document(m, o, i, found));
		else
			print_outlet(m, o, i, found);
	}
	json_object_set_new(d, "node", json_string(n->name));
	json_object_set_new(d, "good", json_boolean(good));
	json_object_set_new(d, "text", json_string(m->result.text));
	json_object_set_new(d, "outlets", outlets);
	if (m->nodes)
		json_array_append_new(m->nodes, d);
	else
		json_decref(d);
}

/* NULL: behind a proxy, which does not tell names; or no memory, which shows as no names. */
static struct survey *survey(struct map *m, const struct config_node *n)
{
	struct survey *s;

	if (n->proxy)
		return NULL;
	m->surveyed = false;
	s = survey_new(&m->reactor, n, surveyed, m);
	if (s)
		reactor_run_until(&m->reactor, is_surveyed, m);
	return s;
}

static bool has_wrong_name(const struct config_node *n, const struct survey *s)
{
	for (size_t i = 0; s && i < n->outlet_count; i++) {
		const struct survey_outlet *found = survey_outlet(s, i);

		if (survey_differs(&n->outlets[i], found) ||
			(n->outlets[i].name && found->asked && !found->has_name))
			return true;
	}
	return false;
}

static void check_node(struct map *m, const struct config_node *n)
{
	char who[64];
	const struct shoot_order order = {.config = m->config,
		.victim = n,
		.goal = FENCE_TEST,
		.who = who,
		.by_hand = true,
		.within = m->options->deadline * 1000};
	struct survey *s;
	struct err err = {0};
	bool good;

	command_who(who, sizeof(who));
	good = shoot(&order, &m->reactor, &m->result, &err) == 0;
	s = survey(m, n);
	show_node(m, n, s, good && !has_wrong_name(n, s), good ? "" : err.text);
	m->good = m->good && good && !has_wrong_name(n, s);
	survey_free(s);
}

static int check_all(struct map *m, const struct config_node *only)
{
	for (size_t i = 0; i < m->config->node_count; i++) {
		if (!only || only == &m->config->nodes[i])
			check_node(m, &m->config->nodes[i]);
	}
	if (m->nodes)
		report_json(json_pack("{sbso}", "good", m->good, "nodes", m->nodes));
	return m->good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct options *o, const struct config *c, const struct config_node *only)
{
	struct map *m = calloc(1, sizeof(*m));
	struct err err = {0};
	int ret = m ? reactor_init(&m->reactor) : -ENOMEM;

	if (ret < 0) {
		free(m);
		return command_fail((err_sys(&err, -ret, "event loop"), &err));
	}
	m->options = o;
	m->config = c;
	m->good = true;
	m->nodes = o->json ? json_array() : NULL;
	ret = check_all(m, only);
	reactor_done(&m->reactor);
	free(m);
	return ret;
}

int command_map(const struct options *o, const struct config *c)
{
	const struct config_node *only = o->operand ? config_node(c, o->operand) : NULL;
	struct err err;

	if (!o->operand || only)
		return run(o, c, only);
	err_set(&err, ENOENT, "'%.64s': no such node in %.300s", o->operand, o->config);
	return command_fail(&err);
}

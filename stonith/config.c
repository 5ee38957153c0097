/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sections to nodes with all that it takes to shoot them; see config.h. A kind of section is a
 * row: how it is read and freed is in its own file. What a section names must have been read
 * before, so kinds are read in the order of the rows, wherever sections stand.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { KIND_GENERAL, KIND_FAMILY, KIND_PDU, KIND_PROXY, KIND_CALLER, KIND_NODE, KINDS };

const struct conf_kind config_kinds[] = {
	[KIND_GENERAL] = {"stonith", false, &config_general_keys, 1},
	[KIND_FAMILY] = {"profile", true, &config_family_keys, 1},
	[KIND_PDU] = {"pdu", true, &config_pdu_keys, 1},
	[KIND_PROXY] = {"proxy", true, &config_proxy_keys, 1},
	[KIND_CALLER] = {"caller", true, &config_caller_keys, 1},
	[KIND_NODE] = {"node", true, &config_node_keys, 1},
};
const size_t config_kind_count = ARRAY_LEN(config_kinds);

typedef void read_fn(struct conf *f, const struct conf_section *s, struct config *c, char *name);

static read_fn *const readers[KINDS] = {
	[KIND_FAMILY] = config_read_family,
	[KIND_PDU] = config_read_pdu,
	[KIND_PROXY] = config_read_proxy,
	[KIND_CALLER] = config_read_caller,
	[KIND_NODE] = config_read_node,
};

static void read_kind(struct conf *f, int kind, struct config *c)
{
	const struct conf_section *s;
	size_t at = 0;
	char *name;

	while ((s = conf_next_named(f, &config_kinds[kind], CONFIG_NAME_MAX, &at, &name)))
		readers[kind](f, s, c, name);
}

/* Room for as many of each kind as there are sections, so that pointers to them stay good. */
static bool make_room(const struct conf *f, struct config *c)
{
	size_t n = f->count + 1;

	c->families = calloc(n, sizeof(*c->families));
	c->pdus = calloc(n, sizeof(*c->pdus));
	c->proxies = calloc(n, sizeof(*c->proxies));
	c->callers = calloc(n, sizeof(*c->callers));
	c->nodes = calloc(n, sizeof(*c->nodes));
	return c->families && c->pdus && c->proxies && c->callers && c->nodes;
}

/* Sections are in the order in which they were read. */
static void check_all(struct conf *f, struct config *c)
{
	const struct conf_section *s;
	size_t i = 0;

	for (size_t at = 0; i < c->node_count && (s = conf_next(f, &config_kinds[KIND_NODE], &at));
		i++)
		config_check_node(f, s, c, &c->nodes[i]);
	i = 0;
	for (size_t at = 0;
		i < c->caller_count && (s = conf_next(f, &config_kinds[KIND_CALLER], &at)); i++)
		config_check_caller(f, s, c, &c->callers[i]);
}

static void read_all(struct conf *f, const char *path, struct config *c)
{
	size_t at = 0;
	const struct conf_section *general = conf_next(f, &config_kinds[KIND_GENERAL], &at);

	config_read_general(f, general, c);
	for (int kind = KIND_FAMILY; kind < KINDS; kind++)
		read_kind(f, kind, c);
	if (!c->node_count && !f->fault_count)
		conf_fault_at(f, path, 0, "there is no section node");
	check_all(f, c);
	config_find_self(f, general, c);
}

int config_read(const char *path, struct config *ret, struct conf *files)
{
	struct config c = {0};

	conf_read(path, config_kinds, config_kind_count, files);
	if (make_room(files, &c))
		read_all(files, path, &c);
	else
		conf_fault_at(files, path, 0, "out of memory");
	if (files->fault_count)
		config_free(&c);
	*ret = c;
	return files->fault_count ? -EINVAL : 0;
}

void config_free(struct config *c)
{
	key_free_all(&config_general_keys, &c->general);
	for (size_t i = 0; i < c->node_count; i++)
		config_free_node(&c->nodes[i]);
	for (size_t i = 0; i < c->caller_count; i++)
		config_free_caller(&c->callers[i]);
	for (size_t i = 0; i < c->proxy_count; i++)
		config_free_proxy(&c->proxies[i]);
	for (size_t i = 0; i < c->pdu_count; i++)
		config_free_pdu(&c->pdus[i]);
	for (size_t i = 0; i < c->family_count; i++)
		config_free_family(&c->families[i]);
	free(c->nodes);
	free(c->callers);
	free(c->proxies);
	free(c->pdus);
	free(c->families);
	*c = (struct config){0};
}

/* What is what. */

const struct config_node *config_node(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->node_count; i++) {
		if (strcasecmp(c->nodes[i].name, name) == 0)
			return &c->nodes[i];
	}
	return NULL;
}

const struct config_pdu *config_pdu(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->pdu_count; i++) {
		if (strcasecmp(c->pdus[i].name, name) == 0)
			return &c->pdus[i];
	}
	return NULL;
}

const struct config_caller *config_caller(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->caller_count; i++) {
		if (strcasecmp(c->callers[i].name, name) == 0)
			return &c->callers[i];
	}
	return NULL;
}

unsigned config_action(const char *text)
{
	static const char *const names[] = {"off", "on", "reboot", "status"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0)
			return 1U << i;
	}
	return 0;
}

/* Warnings. */

static bool may_be_shot(const struct config *c, const struct config_node *n)
{
	for (size_t i = 0; i < c->caller_count; i++) {
		const struct config_caller *x = &c->callers[i];

		for (size_t k = 0; k < x->victims.count; k++) {
			if (config_node(c, x->victims.items[k]) == n)
				return true;
		}
	}
	return n->shooters.count > 0;
}

static void warn_node(struct conf *ret, const struct conf_section *s, const struct config *c,
	const struct config_node *n)
{
	size_t count = n->outlet_count;

	if (!may_be_shot(c, n))
		conf_fault(ret, s, NULL, "no node may shoot it (key shooters), only people");
	if (count > 1 && n->outlets[0].pdu == n->outlets[count - 1].pdu)
		conf_fault(ret, s, "outlets",
			"outlets: are all on pdu \"%.64s\"; if that dies, so does the node, and "
			"nobody can tell",
			n->outlets[0].pdu->name);
	for (const struct config_node *m = c->nodes; m < n; m++) {
		if (m->delay == n->delay && config_may_shoot(m, n) && config_may_shoot(n, m))
			conf_fault(ret, s, NULL,
				"has the same delay as node \"%.64s\": cut off from each other, "
				"both may be shot",
				m->name);
	}
	if (!n->proxy && !n->dwell)
		conf_fault(ret, s, NULL, "a dwell of 0 does not outlast its power supplies");
}

static void warn_pdu(struct conf *ret, const struct conf_section *s, const struct config_pdu *p)
{
	if (p->version == CONFIG_V3 && p->auth == CONFIG_AUTH_NONE)
		conf_fault(
			ret, s, NULL, "version 3 without auth: anybody who reaches it can switch");
	else if (p->version == CONFIG_V3 && (p->auth == CONFIG_MD5 || p->priv == CONFIG_DES))
		conf_fault(ret, s, NULL, "MD5 and DES are weak; use SHA-256 and AES if it can");
}

void config_warn(const struct conf *files, const struct config *c, struct conf *ret)
{
	const struct conf_section *s;
	size_t i = 0;

	*ret = (struct conf){0};
	for (size_t at = 0;
		i < c->pdu_count && (s = conf_next(files, &config_kinds[KIND_PDU], &at)); i++)
		warn_pdu(ret, s, &c->pdus[i]);
	i = 0;
	for (size_t at = 0;
		i < c->node_count && (s = conf_next(files, &config_kinds[KIND_NODE], &at)); i++)
		warn_node(ret, s, c, &c->nodes[i]);
}

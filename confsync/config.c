/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sections to a pair of nodes and its sets; see config.h. A kind of section is a row: how it
 * is read and freed is in its own file. What concerns several sections is checked when all of them
 * are there, so their order in the file does not matter; sets are put in the order they are dealt
 * with at the very end, as until then they stand as their sections do.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { KIND_GENERAL, KIND_NODE, KIND_SET, KINDS };

const struct conf_kind config_kinds[] = {
	[KIND_GENERAL] = {"confsync", false, &config_general_keys, 1},
	[KIND_NODE] = {"node", true, &config_node_keys, 1},
	[KIND_SET] = {"set", true, &config_set_keys, 1},
};
const size_t config_kind_count = ARRAY_LEN(config_kinds);

typedef void read_fn(struct conf *f, const struct conf_section *s, struct config *c, char *name);

static read_fn *const readers[KINDS] = {
	[KIND_NODE] = config_read_node,
	[KIND_SET] = config_read_set,
};

static void read_kind(struct conf *f, int kind, struct config *c)
{
	const struct conf_section *s;
	size_t at = 0;
	char *name;

	while ((s = conf_next_named(f, &config_kinds[kind], GENERATION_NAME_MAX - 1, &at, &name)))
		readers[kind](f, s, c, name);
}

/* Sections are in the order in which they were read. */
static void check_sets(struct conf *f, const char *path, const struct config *c)
{
	const struct conf_section *s;
	size_t i = 0;

	if (!c->set_count && !f->fault_count)
		conf_fault_at(f, path, 0, "there is no section set");
	if (c->set_count > CONFIG_SETS_MAX)
		conf_fault_at(f, path, 0, "%zu sections set; %d are possible", c->set_count,
			CONFIG_SETS_MAX);
	for (size_t at = 0; i < c->set_count && (s = conf_next(f, &config_kinds[KIND_SET], &at));
		i++)
		config_check_set(f, s, c, &c->sets[i]);
}

/* Few, and it must be stable. */
static void sort_sets(struct config *c)
{
	for (size_t i = 1; i < c->set_count; i++) {
		struct config_set x = c->sets[i];
		size_t k = i;

		for (; k > 0 && c->sets[k - 1].order > x.order; k--)
			c->sets[k] = c->sets[k - 1];
		c->sets[k] = x;
	}
}

/* All that a section needs is there first. */
static void read_all(struct conf *f, const char *path, struct config *c)
{
	size_t at = 0;
	const struct conf_section *general = conf_next(f, &config_kinds[KIND_GENERAL], &at);

	c->path = strdup(path);
	c->nodes = calloc(f->count + 1, sizeof(*c->nodes));
	c->sets = calloc(f->count + 1, sizeof(*c->sets));
	config_read_general(f, general, c);
	if (!c->path || !c->nodes || !c->sets || !c->general.state_directory ||
		config_find_own(f, c) < 0) {
		conf_fault_at(f, path, 0, "out of memory");
		return;
	}
	read_kind(f, KIND_NODE, c);
	read_kind(f, KIND_SET, c);
	config_find_self(f, path, general, c);
	check_sets(f, path, c);
	sort_sets(c);
}

int config_read(const char *path, struct config *ret, struct conf *files)
{
	struct config c = {0};

	conf_read(path, config_kinds, config_kind_count, files);
	read_all(files, path, &c);
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
	for (size_t i = 0; i < c->set_count; i++)
		config_free_set(&c->sets[i]);
	free(c->nodes);
	free(c->sets);
	free(c->path);
	key_free_texts(&c->files);
	key_free_texts(&c->patterns);
	*c = (struct config){0};
}

const struct config_set *config_set(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->set_count; i++) {
		if (strcmp(c->sets[i].name, name) == 0)
			return &c->sets[i];
	}
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `node`: outlets found, complete and each fed to one node only; who may shoot it. What
 * two nodes have to do with each other is checked when all of them are there.
 */
#include "config_inner.h"

#include "util.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { OUTLET_BYTES = 128, DELAY_MAX = 60000, DWELL_MAX = 60000, DEADLINE_MAX = 600 };

static const char *const policies[] = {"off", "cycle", "cycle-confirmed", NULL};

#define AT(field) offsetof(struct config_node, field)

static const struct key keys[] = {
	{"outlets", KEY_TEXTS, AT(outlets_text), 1, OUTLET_BYTES, 0, NULL, 1, false,
		"All outlets that feed it, as \"PDU:KEY\" with the name of a section pdu and what "
		"its profile calls the outlet. The node is off when all of them are. Either these "
		"or a proxy are required."},
	{"names", KEY_TEXTS, AT(names_text), 0, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What the PDUs call these outlets, in their order; \"\" is not known. A difference "
		"is told, as it may mean that a cable was moved."},
	{"proxy", KEY_TEXT, AT(proxy_name), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"The section proxy by which its PDUs are reached, instead of outlets."},
	{"shooters", KEY_TEXTS, AT(shooters), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"The nodes whose cluster software may shoot it; otherwise none."},
	{"policy", KEY_CHOICE, AT(policy), 0, 0, CONFIG_OFF, policies, 1, false,
		"What a reboot is: off, so that somebody has to switch it on; cycle, off and on; "
		"or cycle-confirmed, off, and on only when an administrator has confirmed. "
		"Otherwise off."},
	{"delay", KEY_NUMBER, AT(delay), 0, DELAY_MAX, 0, NULL, 1, false,
		"Milliseconds the cluster's shot at it waits: of a pair, the node that should "
		"survive has one longer than a shot takes. Otherwise 0."},
	{"deadline", KEY_NUMBER, AT(deadline), 1, DEADLINE_MAX, 0, NULL, 1, false,
		"Seconds after which an action has failed; otherwise that of section stonith."},
	{"dwell", KEY_NUMBER, AT(dwell), 0, DWELL_MAX, 0, NULL, 1, false,
		"Milliseconds between the two looks that must find all outlets off, longer than "
		"its power supplies hold; otherwise that of section stonith."},
	{"accept-confirmation", KEY_FLAG, AT(accept_confirmation), 0, 0, 0, NULL, 1, false,
		"May an administrator confirm that it is off when a PDU cannot be asked?"},
};
const struct key_set config_node_keys = {keys, ARRAY_LEN(keys)};

/* A fenced of the cluster would not understand these in a list of nodes. */
static void check_word(struct conf *f, const struct conf_section *s)
{
	if (strcasecmp(s->title, "on") == 0 || strcasecmp(s->title, "off") == 0 ||
		strcasestr(s->title, "invalid") || strcasestr(s->title, "variable"))
		conf_fault(f, s, NULL,
			"a node cannot be called \"on\" or \"off\", nor have \"invalid\" or "
			"\"variable\" in its name: cluster software takes these for something "
			"else");
}

/* Outlets. */

static const struct config_pdu *find_pdu(struct conf *f, const struct conf_section *s,
	const struct config *c, const char *text, size_t len)
{
	char name[OUTLET_BYTES + 1], near[128];
	struct config_guess guess = {.word = name};
	const struct config_pdu *p;

	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	p = config_pdu(c, name);
	for (size_t i = 0; !p && i < c->pdu_count; i++)
		config_guess(&guess, c->pdus[i].name);
	if (!p)
		conf_fault(f, s, "outlets", "outlets: \"%.100s\": there is no pdu \"%.64s\"%s",
			text, name, config_guess_text(&guess, near, sizeof(near)));
	return p;
}

/* Of a PDU whose profile is not known nothing can be said; that is a fault already. */
static bool read_outlet(struct conf *f, const struct conf_section *s, const struct config *c,
	const char *text, struct config_outlet *ret)
{
	const char *colon = strrchr(text, ':');
	struct err err;

	ret->text = text;
	if (!colon) {
		conf_fault(f, s, "outlets", "outlets: \"%.100s\": must be \"PDU:KEY\"", text);
		return false;
	}
	ret->pdu = find_pdu(f, s, c, text, (size_t)(colon - text));
	if (!ret->pdu || !ret->pdu->profile)
		return false;
	if (profile_key(ret->pdu->profile, colon + 1, &ret->key, &err) == 0)
		return true;
	conf_fault(f, s, "outlets", "outlets: \"%.100s\": %s", text, err.text);
	return false;
}

/* Behind the last one of its PDU, or at the end. */
static void put(struct config_node *n, const struct config_outlet *o)
{
	size_t at = n->outlet_count;

	for (size_t i = 0; i < n->outlet_count; i++) {
		if (n->outlets[i].pdu == o->pdu)
			at = i + 1;
	}
	memmove(&n->outlets[at + 1], &n->outlets[at], (n->outlet_count - at) * sizeof(*o));
	n->outlets[at] = *o;
	n->outlet_count++;
}

static void check_lanes(struct conf *f, const struct conf_section *s, const struct config_node *n)
{
	size_t lanes = 0;

	for (size_t i = 0; i < n->outlet_count; i++)
		lanes += i == 0 || n->outlets[i].pdu != n->outlets[i - 1].pdu;
	if (lanes > FENCE_LANES_MAX)
		conf_fault(f, s, "outlets", "outlets: on %zu PDUs; %d are possible", lanes,
			FENCE_LANES_MAX);
}

static void read_outlets(
	struct conf *f, const struct conf_section *s, const struct config *c, struct config_node *n)
{
	const struct key_texts *texts = &n->outlets_text, *names = &n->names_text;

	if (texts->count > FENCE_OUTLETS_MAX) {
		conf_fault(f, s, "outlets", "outlets: more than %d", FENCE_OUTLETS_MAX);
		return;
	}
	if (names->count && names->count != texts->count)
		conf_fault(f, s, "names",
			"names: %zu for %zu outlets; give one for each, \"\" if "
			"it is not known",
			names->count, texts->count);
	n->outlets = calloc(texts->count + 1, sizeof(*n->outlets));
	for (size_t i = 0; n->outlets && i < texts->count; i++) {
		struct config_outlet o = {0};

		if (i < names->count && *names->items[i])
			o.name = names->items[i];
		if (read_outlet(f, s, c, texts->items[i], &o))
			put(n, &o);
	}
	if (!n->outlets)
		conf_fault(f, s, NULL, "out of memory");
	else
		check_lanes(f, s, n);
}

/* Which way to the PDUs. */
static void read_way(
	struct conf *f, const struct conf_section *s, const struct config *c, struct config_node *n)
{
	struct config_guess guess = {.word = n->proxy_name};
	char near[128];

	if (!n->outlets_text.count && !n->proxy_name && !s->torn)
		conf_fault(f, s, "outlets", "has no outlets (and no proxy): it could not be shot");
	if (n->outlets_text.count && n->proxy_name)
		conf_fault(f, s, "proxy", "proxy: does not go with outlets; choose one");
	if (!n->proxy_name)
		return;
	for (size_t i = 0; i < c->proxy_count; i++) {
		if (strcasecmp(c->proxies[i].name, n->proxy_name) == 0)
			n->proxy = &c->proxies[i];
		config_guess(&guess, c->proxies[i].name);
	}
	if (!n->proxy)
		conf_fault(f, s, "proxy", "proxy: there is no proxy \"%.64s\"%s", n->proxy_name,
			config_guess_text(&guess, near, sizeof(near)));
}

/* The cluster's delay, two looks, the dwell between them: is there time left to do anything? */
static void check_times(struct conf *f, const struct conf_section *s, const struct config_node *n)
{
	const uint64_t spare_ms = 1000;

	/* 0: what was given for it is a fault. */
	if (n->deadline && n->delay + n->dwell + spare_ms > n->deadline * 1000)
		conf_fault(f, s, conf_value(s, "deadline") ? "deadline" : "dwell",
			"deadline of %llu s: is too short for a delay of %llu ms and a dwell of "
			"%llu ms",
			(unsigned long long)n->deadline, (unsigned long long)n->delay,
			(unsigned long long)n->dwell);
}

void config_read_node(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_node *n = &c->nodes[c->node_count++];

	key_init_all(&config_node_keys, n);
	n->name = name;
	conf_apply(f, s, n);
	check_word(f, s);
	read_outlets(f, s, c, n);
	read_way(f, s, c, n);
	if (!conf_value(s, "deadline"))
		n->deadline = c->general.deadline;
	if (!conf_value(s, "dwell"))
		n->dwell = c->general.dwell;
	check_times(f, s, n);
}

void config_free_node(struct config_node *n)
{
	free(n->outlets);
	key_free_all(&config_node_keys, n);
	free(n->name);
}

/* When all are there. */

void config_no_node(struct conf *f, const struct conf_section *s, const char *key,
	const struct config *c, const char *name)
{
	struct config_guess guess = {.word = name};
	char near[128];

	for (size_t i = 0; i < c->node_count; i++)
		config_guess(&guess, c->nodes[i].name);
	conf_fault(f, s, key, "%s: there is no node \"%.64s\"%s", key, name,
		config_guess_text(&guess, near, sizeof(near)));
}

static bool same_outlet(const struct config_outlet *a, const struct config_outlet *b)
{
	return a->pdu == b->pdu && a->key.count == b->key.count &&
		memcmp(a->key.part, b->key.part, a->key.count * sizeof(a->key.part[0])) == 0;
}

/* Is O among those before index END of N? */
static bool has_outlet(const struct config_node *n, size_t end, const struct config_outlet *o)
{
	for (size_t i = 0; i < end; i++) {
		if (same_outlet(&n->outlets[i], o))
			return true;
	}
	return false;
}

static void check_outlets(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_node *n)
{
	for (size_t i = 0; i < n->outlet_count; i++) {
		const struct config_outlet *o = &n->outlets[i];

		if (has_outlet(n, i, o))
			conf_fault(f, s, "outlets", "outlets: \"%.100s\": is given twice", o->text);
		for (const struct config_node *m = c->nodes; m < n; m++) {
			if (has_outlet(m, m->outlet_count, o))
				conf_fault(f, s, "outlets",
					"outlets: \"%.100s\": feeds node \"%.64s\" too", o->text,
					m->name);
		}
	}
}

void config_check_node(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_node *n)
{
	check_outlets(f, s, c, n);
	for (size_t i = 0; i < n->shooters.count; i++) {
		const struct config_node *m = config_node(c, n->shooters.items[i]);

		if (!m)
			config_no_node(f, s, "shooters", c, n->shooters.items[i]);
		else if (m == n)
			conf_fault(f, s, "shooters", "shooters: no node shoots itself");
	}
}

bool config_may_shoot(const struct config_node *shooter, const struct config_node *victim)
{
	for (size_t i = 0; i < victim->shooters.count; i++) {
		if (strcasecmp(victim->shooters.items[i], shooter->name) == 0)
			return shooter != victim;
	}
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `xnbd-stonith list`: what the configuration says. Nobody is asked. */
#include "command.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

static const char *policy_name(int policy)
{
	static const char *const names[] = {[CONFIG_OFF] = "off",
		[CONFIG_CYCLE] = "cycle",
		[CONFIG_CYCLE_CONFIRMED] = "cycle-confirmed"};

	return names[policy];
}

static json_t *outlet_document(const struct config_outlet *o)
{
	json_t *d = json_object();

	json_object_set_new(d, "outlet", json_string(o->text));
	json_object_set_new(d, "pdu", json_string(o->pdu->name));
	json_object_set_new(d, "address", json_string(o->pdu->address));
	json_object_set_new(d, "profile", json_string(o->pdu->profile->name));
	if (o->name)
		json_object_set_new(d, "name", json_string(o->name));
	return d;
}

static json_t *document_of(const struct config *c, const struct config_node *n)
{
	json_t *d = json_object(), *outlets = json_array(), *shooters = json_array();

	json_object_set_new(d, "node", json_string(n->name));
	json_object_set_new(d, "self", json_boolean(n == config_self(c)));
	json_object_set_new(d, "policy", json_string(policy_name(n->policy)));
	if (n->proxy)
		json_object_set_new(d, "proxy", json_string(n->proxy->name));
	for (size_t i = 0; i < n->outlet_count; i++)
		json_array_append_new(outlets, outlet_document(&n->outlets[i]));
	for (size_t i = 0; i < n->shooters.count; i++)
		json_array_append_new(shooters, json_string(n->shooters.items[i]));
	json_object_set_new(d, "outlets", outlets);
	json_object_set_new(d, "shooters", shooters);
	return d;
}

static void print_node(const struct config *c, const struct config_node *n)
{
	printf("%s%s  policy %s", n->name, n == config_self(c) ? " (this host)" : "",
		policy_name(n->policy));
	if (n->proxy)
		printf("  by proxy %s", n->proxy->name);
	for (size_t i = 0; i < n->outlet_count; i++)
		printf("%s%s", i ? " " : "  outlets ", n->outlets[i].text);
	for (size_t i = 0; i < n->shooters.count; i++)
		printf("%s%s", i ? " " : "  shooters ", n->shooters.items[i]);
	putchar('\n');
}

int command_list(const struct options *o, const struct config *c)
{
	json_t *list = o->json ? json_array() : NULL;

	for (size_t i = 0; i < c->node_count; i++) {
		if (o->json)
			json_array_append_new(list, document_of(c, &c->nodes[i]));
		else
			print_node(c, &c->nodes[i]);
	}
	if (o->json)
		report_json(json_pack("{so}", "nodes", list));
	return EXIT_SUCCESS;
}

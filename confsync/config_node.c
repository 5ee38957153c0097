/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `node`: two, one is this host and the other the peer. Each has its key pinned, also our
 * own, as the same file serves both. Addresses are literal: a name server may be what is to be
 * configured.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "ssh_key.h"
#include "util.h"

#include <string.h>
#include <strings.h>

_Static_assert((int)SSH_KEY_BLOB_MAX <= (int)CONFIG_HOST_KEY_MAX, "a key fits");

#define AT(field) offsetof(struct config_node, field)

static const struct key keys[] = {
	{"address", KEY_TEXT, AT(address), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"IPv4 or IPv6 address of its sshd, not a name. Required."},
	{"port", KEY_NUMBER, AT(port), 1, 65535, 22, NULL, 1, false, "TCP port; otherwise 22."},
	{"source", KEY_TEXT, AT(source), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Address of this node that it connects from; otherwise as the system chooses."},
	{"host-key", KEY_TEXT, AT(host_key), 1, 2 * CONFIG_HOST_KEY_MAX, 0, NULL, 1, false,
		"The public key of its sshd, as in its ssh_host_ed25519_key.pub: type, space, "
		"base64. No other is accepted. Required."},
};
const struct key_set config_node_keys = {keys, ARRAY_LEN(keys)};

static void read_host_key(struct conf *f, const struct conf_section *s, struct config_node *n)
{
	struct ssh_key key;

	if (!conf_require(f, s, "host-key", n->host_key, NULL))
		return;
	if (ssh_key_parse(n->host_key, &key) < 0) {
		conf_fault(f, s, "host-key", "host-key: %s", ssh_key_fault(n->host_key));
		return;
	}
	memcpy(n->host_key_bytes, key.blob, key.len);
	n->host_key_len = key.len;
}

void config_read_node(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_node *n = &c->nodes[c->node_count++];

	key_init_all(&config_node_keys, n);
	n->name = name;
	conf_apply(f, s, n);
	conf_require(f, s, "address", n->address, NULL);
	conf_check_address(f, s, "address", n->address, NULL);
	conf_check_address(f, s, "source", n->source, NULL);
	read_host_key(f, s, n);
	for (const struct config_node *o = c->nodes; o < n; o++) {
		if (n->address && o->address && strcmp(n->address, o->address) == 0 &&
			n->port == o->port)
			conf_fault(
				f, s, "address", "address: is that of node \"%.64s\" too", o->name);
	}
}

void config_free_node(struct config_node *n)
{
	key_free_all(&config_node_keys, n);
	free(n->name);
}

/* This host. */

static const struct config_node *find_node(const struct config *c, const char *self)
{
	for (size_t i = 0; i < c->node_count; i++) {
		const char *name = c->nodes[i].name;

		if (self ? strcasecmp(self, name) == 0 : conf_is_this_host(name))
			return &c->nodes[i];
	}
	return NULL;
}

void config_find_self(
	struct conf *f, const char *path, const struct conf_section *s, struct config *c)
{
	const char *self = c->general.self;

	if (c->node_count != 2) {
		if (c->node_count > 2 || !f->fault_count)
			conf_fault_at(f, path, 0,
				"%zu sections node; a pair has two, this host and its peer",
				c->node_count);
		return;
	}
	c->self = find_node(c, self);
	if (!c->self && self)
		conf_fault(f, s, "self",
			"self: there is no node \"%.64s\", but \"%.64s\" and \"%.64s\"", self,
			c->nodes[0].name, c->nodes[1].name);
	else if (!c->self && !(s && conf_value(s, "self")))
		conf_fault_at(f, path, 0,
			"neither node \"%.64s\" nor \"%.64s\" is called like this host; say which "
			"one it is: confsync { self = \"%.64s\" }",
			c->nodes[0].name, c->nodes[1].name, c->nodes[0].name);
	if (c->self)
		c->peer = c->self == &c->nodes[0] ? &c->nodes[1] : &c->nodes[0];
}

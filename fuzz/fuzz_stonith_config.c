/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stonith.conf: what is taken is whole. Every node can be shot by some way, no outlet feeds two,
 * and everything it takes is there; what is not taken has a fault with a reason. Secrets are
 * descriptors 100 (a line) and 101 (a key) of /proc/self/fd; nothing is included.
 */
#include "fuzz.h"

#include "config.h"
#include "util.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { FD_LINE = 100, FD_KEY = 101, FD_CONF = 102 };

static void make(int number, const void *bytes, size_t len)
{
	int fd = memfd_create("fuzz", 0);

	REQUIRE(fd >= 0 && pwrite(fd, bytes, len, 0) == (ssize_t)len && fchmod(fd, 0600) == 0);
	REQUIRE(dup2(fd, number) == number);
	close(fd);
}

static void check_pdu(const struct config_pdu *p)
{
	bool v3 = p->version == CONFIG_V3;

	REQUIRE(*p->name && p->address && p->profile && p->port >= 1 && p->port <= 65535);
	REQUIRE(profile_check(p->profile, NULL) == 0);
	REQUIRE(v3 ? p->user != NULL : p->community != NULL);
	REQUIRE(!v3 || (p->auth != CONFIG_AUTH_NONE) == (p->auth_secret != NULL));
	REQUIRE(!v3 || (p->priv != CONFIG_PRIV_NONE) == (p->priv_secret != NULL));
	REQUIRE(p->priv == CONFIG_PRIV_NONE || p->auth != CONFIG_AUTH_NONE);
}

static bool same(const struct config_outlet *a, const struct config_outlet *b)
{
	struct oid x, y;

	REQUIRE(oid_fill(a->pdu->profile->state, &a->key, &x));
	REQUIRE(oid_fill(b->pdu->profile->state, &b->key, &y));
	return a->pdu == b->pdu && oid_equal(&x, &y);
}

/* Of one PDU side by side, none twice, none of another node's. */
static void check_outlets(const struct config *c, const struct config_node *n)
{
	for (size_t i = 0; i < n->outlet_count; i++) {
		const struct config_outlet *o = &n->outlets[i];

		REQUIRE(o->pdu && o->text && o->key.count == o->pdu->profile->key_parts);
		for (size_t k = 0; k < i; k++) {
			REQUIRE(!same(o, &n->outlets[k]));
			REQUIRE(n->outlets[k].pdu != o->pdu || n->outlets[i - 1].pdu == o->pdu);
		}
		for (const struct config_node *m = c->nodes; m < n; m++) {
			for (size_t k = 0; k < m->outlet_count; k++)
				REQUIRE(!same(o, &m->outlets[k]));
		}
	}
}

static void check_node(const struct config *c, const struct config_node *n)
{
	REQUIRE(config_node(c, n->name) == n);
	REQUIRE(n->outlet_count == n->outlets_text.count);
	REQUIRE(!n->proxy == (n->outlet_count > 0) && n->outlet_count <= FENCE_OUTLETS_MAX);
	REQUIRE(n->deadline * 1000 > n->dwell);
	REQUIRE(!config_may_shoot(n, n));
	for (size_t i = 0; i < n->shooters.count; i++)
		REQUIRE(config_may_shoot(config_node(c, n->shooters.items[i]), n));
	check_outlets(c, n);
}

static void check_good(const struct config *c)
{
	REQUIRE(c->node_count > 0);
	for (size_t i = 0; i < c->pdu_count; i++)
		check_pdu(&c->pdus[i]);
	for (size_t i = 0; i < c->node_count; i++)
		check_node(c, &c->nodes[i]);
	for (size_t i = 0; i < c->proxy_count; i++)
		REQUIRE(c->proxies[i].key && c->proxies[i].secret &&
			c->proxies[i].host_key_len > 8);
	for (size_t i = 0; i < c->caller_count; i++) {
		REQUIRE(c->callers[i].secret && c->callers[i].actions && c->callers[i].rate);
		for (size_t k = 0; k < c->callers[i].victims.count; k++)
			REQUIRE(!config_node(c, c->callers[i].victims.items[k])->proxy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct conf files, warnings;
	int r;

	if (memmem(data, size, "include", 7))
		return 0;
	make(FD_LINE, "0123456789abcdef\n", 17);
	make(FD_KEY, "-----BEGIN PRIVATE KEY-----\n", 28);
	make(FD_CONF, data, size);
	r = config_read("/proc/self/fd/102", &c, &files);
	REQUIRE((r == 0) == (files.fault_count == 0));
	for (size_t i = 0; i < files.fault_count; i++)
		REQUIRE(strlen(files.faults[i]) > 10);
	if (r == 0) {
		check_good(&c);
		config_warn(&files, &c, &warnings);
		conf_done(&warnings);
	}
	conf_done(&files);
	config_free(&c);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules about peers: what is accepted prints as the same rule, and matches its own address. */
#include "fuzz.h"

#include "peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_accepted(const struct peers_rule *rule)
{
	struct peers_id id = {
		.kind = (enum peers_kind)rule->kind, .uid = rule->id, .gid = rule->id};
	struct peers list = {(struct peers_rule *)(uintptr_t)rule, 1};
	char text[PEERS_TEXT_MAX];
	struct peers_rule again;

	peers_print(rule, text);
	REQUIRE(peers_parse(text, &again, NULL) == 0);
	REQUIRE(memcmp(rule, &again, sizeof(again)) == 0);
	memcpy(id.addr, rule->addr, sizeof(id.addr));
	if (rule->kind == PEERS_UID || rule->kind == PEERS_GID)
		id.kind = PEERS_UNIX;
	REQUIRE(peers_match(&list, &id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peers_rule rule = {.id = 77};
	char *text = malloc(size + 1);
	struct err err = {0};
	int r;

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = 0;
	r = peers_parse(text, &rule, &err);
	REQUIRE(r == 0 || (r == -EINVAL && err.code == EINVAL && err.text[0] && rule.id == 77));
	if (r == 0)
		check_accepted(&rule);
	free(text);
	return 0;
}

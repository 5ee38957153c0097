/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules about peers; see peers.h. Addresses are compared bit by bit, the unused bits of a rule are
 * zero, so that two rules are the same if their bytes are.
 */
#include "peers.h"

#include "str.h"
#include "user.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool find_user(const char *name, uint32_t *ret)
{
	gid_t group;

	return user_find(name, ret, &group);
}

static bool find_number(const char *text, uint32_t *ret)
{
	uint64_t n;

	/* The last one means "no user" to the kernel. */
	if (str_number(text, 0, UINT32_MAX - 1, &n) < 0)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* Words with a colon, as an IPv6 address; none of these begins like one. */
static const struct owner {
	const char *word;
	enum peers_kind kind;
	bool (*find)(const char *name, uint32_t *ret);
	const char *wrong;
} owners[] = {
	{"uid:", PEERS_UID, find_number, "must be a number"},
	{"gid:", PEERS_GID, find_number, "must be a number"},
	{"user:", PEERS_UID, find_user, "no such user here"},
	{"group:", PEERS_GID, user_find_group, "no such group here"},
};

static int parse_owner(
	const struct owner *o, const char *text, struct peers_rule *rule, struct err *err)
{
	rule->kind = o->kind;
	if (o->find(text + strlen(o->word), &rule->id))
		return 0;
	return err_set(err, EINVAL, "'%.100s': %s", text, o->wrong);
}

static bool bits_behind(const uint8_t *addr, unsigned prefix, unsigned bits)
{
	for (unsigned i = prefix; i < bits; i++) {
		if (addr[i / 8] & 0x80 >> i % 8)
			return true;
	}
	return false;
}

static bool parse_address(const char *text, struct peers_rule *rule, unsigned *bits)
{
	rule->kind = strchr(text, ':') ? PEERS_IPV6 : PEERS_IPV4;
	*bits = rule->kind == PEERS_IPV6 ? 128 : 32;
	return inet_pton(rule->kind == PEERS_IPV6 ? AF_INET6 : AF_INET, text, rule->addr) == 1;
}

/* What comes by a socket for both, as ::ffff:192.0.2.1, is IPv4 (peers_identify()). */
static void unmap(struct peers_rule *rule)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (rule->kind != PEERS_IPV6 || rule->prefix < 96 || memcmp(rule->addr, mapped, 12) != 0)
		return;
	rule->kind = PEERS_IPV4;
	rule->prefix -= 96;
	memmove(rule->addr, rule->addr + 12, 4);
	memset(rule->addr + 4, 0, 12);
}

static int parse_network(const char *text, struct peers_rule *rule, struct err *err)
{
	char address[PEERS_TEXT_MAX];
	const char *slash = strchr(text, '/');
	unsigned bits;
	uint64_t prefix;

	snprintf(address, sizeof(address), "%.*s", slash ? (int)(slash - text) : PEERS_TEXT_MAX,
		text);
	if (!parse_address(address, rule, &bits))
		return err_set(err, EINVAL,
			"'%.100s': must be all, unix, an address, a network (192.0.2.0/24, "
			"2001:db8::/32), uid:N, gid:N, user:NAME or group:NAME",
			text);
	prefix = bits;
	if (slash && str_number(slash + 1, 0, bits, &prefix) < 0)
		return err_set(err, EINVAL, "'%.100s': behind / must be a number from 0 to %u",
			text, bits);
	if (bits_behind(rule->addr, (unsigned)prefix, bits))
		return err_set(err, EINVAL, "'%.100s': the address has bits behind the first %u",
			text, (unsigned)prefix);
	rule->prefix = (uint32_t)prefix;
	unmap(rule);
	return 0;
}

int peers_parse(const char *text, struct peers_rule *ret, struct err *err)
{
	struct peers_rule rule = {0};
	const struct owner *o = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
		if (strncmp(text, owners[i].word, strlen(owners[i].word)) == 0)
			o = &owners[i];
	}
	if (o)
		r = parse_owner(o, text, &rule, err);
	else if (strcmp(text, "unix") == 0)
		rule.kind = PEERS_UNIX;
	else if (strcmp(text, "all") != 0)
		r = parse_network(text, &rule, err);
	if (r == 0)
		*ret = rule;
	return r;
}

static void print_network(const struct peers_rule *rule, char *out)
{
	bool v6 = rule->kind == PEERS_IPV6;
	size_t len;

	inet_ntop(v6 ? AF_INET6 : AF_INET, rule->addr, out, PEERS_TEXT_MAX);
	len = strlen(out);
	if (rule->prefix < (v6 ? 128U : 32U))
		snprintf(out + len, PEERS_TEXT_MAX - len, "/%u", rule->prefix);
}

void peers_print(const struct peers_rule *rule, char out[PEERS_TEXT_MAX])
{
	switch ((enum peers_kind)rule->kind) {
	case PEERS_ALL:
	case PEERS_UNIX:
		snprintf(out, PEERS_TEXT_MAX, "%s", rule->kind == PEERS_ALL ? "all" : "unix");
		return;
	case PEERS_IPV4:
	case PEERS_IPV6:
		print_network(rule, out);
		return;
	case PEERS_UID:
	case PEERS_GID:
		snprintf(out, PEERS_TEXT_MAX, "%s:%u", rule->kind == PEERS_UID ? "uid" : "gid",
			rule->id);
		return;
	}
	*out = 0;
}

/* Lists. */

int peers_add(struct peers *list, const char *text, struct err *err)
{
	struct peers_rule rule, *more;
	int r = peers_parse(text, &rule, err);

	if (r < 0)
		return r;
	if (list->count == PEERS_MAX)
		return err_set(err, E2BIG, "more than %d entries", PEERS_MAX);
	more = realloc(list->rules, (list->count + 1) * sizeof(*more));
	if (!more)
		return err_sys(err, ENOMEM, "%.100s", text);
	list->rules = more;
	list->rules[list->count++] = rule;
	return 0;
}

int peers_copy(struct peers *to, const struct peers *from)
{
	*to = (struct peers){0};
	if (!from->count)
		return 0;
	to->rules = malloc(from->count * sizeof(*to->rules));
	if (!to->rules)
		return -ENOMEM;
	memcpy(to->rules, from->rules, from->count * sizeof(*to->rules));
	to->count = from->count;
	return 0;
}

bool peers_equal(const struct peers *a, const struct peers *b)
{
	return a->count == b->count &&
		(!a->count || memcmp(a->rules, b->rules, a->count * sizeof(*a->rules)) == 0);
}

void peers_done(struct peers *list)
{
	free(list->rules);
	*list = (struct peers){0};
}

/* Peers. */

static void identify_ipv6(const struct in6_addr *a, struct peers_id *ret)
{
	bool mapped = IN6_IS_ADDR_V4MAPPED(a);

	ret->kind = mapped ? PEERS_IPV4 : PEERS_IPV6;
	memcpy(ret->addr, a->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
}

void peers_identify(const struct sockaddr *peer, struct peers_id *ret)
{
	*ret = (struct peers_id){.kind = PEERS_ALL};
	if (peer->sa_family == AF_INET6) {
		identify_ipv6(&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, ret);
	} else if (peer->sa_family == AF_INET) {
		ret->kind = PEERS_IPV4;
		memcpy(ret->addr, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
	}
}

static bool in_network(const struct peers_rule *rule, const uint8_t *addr)
{
	unsigned whole = rule->prefix / 8, rest = rule->prefix % 8;

	if (memcmp(rule->addr, addr, whole) != 0)
		return false;
	return !rest || ((rule->addr[whole] ^ addr[whole]) & (0xff00 >> rest & 0xff)) == 0;
}

static bool is_in_group(const struct peers_id *id, uint32_t gid)
{
	for (uint32_t i = 0; i < id->group_count && i < PEERS_GROUPS_MAX; i++) {
		if (id->groups[i] == gid)
			return true;
	}
	return id->gid == gid;
}

static bool matches(const struct peers_rule *rule, const struct peers_id *id)
{
	switch ((enum peers_kind)rule->kind) {
	case PEERS_ALL:
		return true;
	case PEERS_UNIX:
		return id->kind == PEERS_UNIX;
	case PEERS_IPV4:
	case PEERS_IPV6:
		return id->kind == (enum peers_kind)rule->kind && in_network(rule, id->addr);
	case PEERS_UID:
		return id->kind == PEERS_UNIX && id->uid == rule->id;
	case PEERS_GID:
		return id->kind == PEERS_UNIX && is_in_group(id, rule->id);
	}
	return false;
}

bool peers_match(const struct peers *list, const struct peers_id *id)
{
	for (size_t i = 0; i < list->count; i++) {
		if (matches(&list->rules[i], id))
			return true;
	}
	return false;
}

bool peers_admit(const struct peers *allow, const struct peers *deny, const struct peers_id *id)
{
	return !peers_match(deny, id) && (!allow->count || peers_match(allow, id));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses in their one form, from and to text and sockaddr. Pure but for the names of
 * interfaces, which are looked up in the system.
 */
#include "addr.h"

#include "str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void addr_set_v4(struct addr *a, const struct in_addr *ip)
{
	memset(a, 0, sizeof(*a));
	memcpy(a->ip, mapped, sizeof(mapped));
	memcpy(a->ip + sizeof(mapped), ip, sizeof(*ip));
}

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->ip, mapped, sizeof(mapped)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 && a->scope == b->scope;
}

static bool is_link_local(const struct addr *a)
{
	return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

static bool parse_scope(const char *text, uint32_t *ret)
{
	uint64_t n;

	if (str_number(text, 1, UINT32_MAX, &n) < 0)
		n = if_nametoindex(text);
	*ret = (uint32_t)n;
	return n != 0;
}

static bool parse_v6(const char *text, struct addr *ret)
{
	const char *percent = strchr(text, '%');
	size_t len = percent ? (size_t)(percent - text) : strlen(text);
	char host[INET6_ADDRSTRLEN];
	struct addr a = {0};

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(AF_INET6, host, a.ip) != 1)
		return false;
	if (percent && !parse_scope(percent + 1, &a.scope))
		return false;
	if (!is_link_local(&a))
		a.scope = 0;
	*ret = a;
	return true;
}

bool addr_parse(const char *text, struct addr *ret)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, text, &ip) != 1)
		return parse_v6(text, ret);
	addr_set_v4(ret, &ip);
	return true;
}

static void print_host(const struct addr *a, char out[INET6_ADDRSTRLEN])
{
	bool v4 = addr_is_v4(a);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->ip + sizeof(mapped) : a->ip, out,
		INET6_ADDRSTRLEN);
}

void addr_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char name[IF_NAMESIZE];
	size_t len;

	print_host(a, out);
	if (!a->scope)
		return;
	if (!if_indextoname(a->scope, name))
		snprintf(name, sizeof(name), "%u", a->scope);
	len = strlen(out);
	snprintf(out + len, ADDR_TEXT_MAX - len, "%%%s", name);
}

socklen_t addr_to_sock(const struct addr *a, uint16_t port, union addr_sock *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (addr_is_v4(a)) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, a->ip + sizeof(mapped), sizeof(ret->v4.sin_addr));
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	memcpy(&ret->v6.sin6_addr, a->ip, sizeof(a->ip));
	ret->v6.sin6_scope_id = a->scope;
	return sizeof(ret->v6);
}

static void from_v6(const struct sockaddr_in6 *sa, struct addr *ret)
{
	memcpy(ret->ip, &sa->sin6_addr, sizeof(ret->ip));
	ret->scope = is_link_local(ret) ? sa->sin6_scope_id : 0;
}

bool addr_from_sock(const struct sockaddr *sa, struct addr *ret, uint16_t *port)
{
	union addr_sock copy = {.any.sa_family = sa->sa_family};

	if (sa->sa_family == AF_INET) {
		memcpy(&copy.v4, sa, sizeof(copy.v4));
		addr_set_v4(ret, &copy.v4.sin_addr);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&copy.v6, sa, sizeof(copy.v6));
		from_v6(&copy.v6, ret);
	} else {
		return false;
	}
	if (port) /* in the same place in both families */
		*port = ntohs(copy.v4.sin_port);
	return true;
}

void addr_universal(const struct addr *a, uint16_t port, char out[ADDR_UNIVERSAL_MAX])
{
	size_t len;

	print_host(a, out);
	len = strlen(out);
	snprintf(out + len, ADDR_UNIVERSAL_MAX - len, ".%u.%u", (unsigned)port >> 8,
		(unsigned)port & 0xff);
}

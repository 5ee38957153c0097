/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * URIs of NBD servers from host, port and name; see origin.h. What a host may look like is checked
 * here, so that no part of it can be taken for another part of the URI. Only /etc/services is read,
 * for names of ports.
 */
#include "origin.h"

#include "nbd.h"
#include "str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { PORT_DEFAULT = 10809, PORT_MAX = 65535, HOST_MAX = 255, SERVICE_ROOM = 4096 };

static int port_number(const char *port, uint64_t *ret)
{
	struct servent entry, *found = NULL;
	char room[SERVICE_ROOM];

	*ret = PORT_DEFAULT;
	if (!port || str_number(port, 1, PORT_MAX, ret) == 0)
		return 0;
	if (getservbyname_r(port, "tcp", &entry, room, sizeof(room), &found) != 0 || !found)
		return -EINVAL;
	*ret = ntohs((uint16_t)found->s_port);
	return 0;
}

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!isascii(c) || (!isalnum(c) && !strchr("-._", c)))
			return false;
	}
	return len > 0 && len <= HOST_MAX;
}

/* An IPv6 address, maybe with a zone ("fe80::1%eth0"), whose % must be escaped (RFC 6874). */
static bool bracket(const char *host, char *out, size_t room)
{
	const char *zone = strchr(host, '%');
	size_t len = zone ? (size_t)(zone - host) : strlen(host);
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (len >= sizeof(address))
		return false;
	memcpy(address, host, len);
	address[len] = 0;
	if (inet_pton(AF_INET6, address, &parsed) != 1 || (zone && !is_name(zone + 1)))
		return false;
	return snprintf(out, room, "[%s%s%s]", address, zone ? "%25" : "", zone ? zone + 1 : "") <
		(int)room;
}

static bool host_part(const char *host, char *out, size_t room)
{
	size_t len = strlen(host);
	char inner[HOST_MAX + 1];

	if (strchr(host, ':') == NULL)
		return is_name(host) && snprintf(out, room, "%s", host) < (int)room;
	if (host[0] != '[')
		return bracket(host, out, room);
	if (host[len - 1] != ']' || len - 2 >= sizeof(inner))
		return false;
	memcpy(inner, host + 1, len - 2);
	inner[len - 2] = 0;
	return bracket(inner, out, room);
}

int origin_uri(const char *host, const char *port, const char *name, char out[ORIGIN_URI_MAX],
	struct err *err)
{
	char where[2 * HOST_MAX], path[ORIGIN_URI_MAX], uri[ORIGIN_URI_MAX];
	uint64_t number;

	if (!host_part(host, where, sizeof(where)))
		return err_set(err, EINVAL, "'%s': neither a host's name nor an address", host);
	if (port_number(port, &number) < 0)
		return err_set(err, EINVAL, "'%s': neither a port (1 to %d) nor a service's name",
			port, PORT_MAX);
	if (!str_uri_escape(path, sizeof(path), name ? name : "") ||
		(name && strlen(name) > NBD_STRING_MAX) ||
		snprintf(uri, sizeof(uri), "nbd://%s:%u/%s", where, (unsigned)number, path) >=
			(int)sizeof(uri))
		return err_set(err, EINVAL, "the export's name is too long");
	memcpy(out, uri, sizeof(uri));
	return 0;
}

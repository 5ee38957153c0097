/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The argument of -v. An address is turned into its name, as upstream does: what we send is what
 * peers compare with the name they mounted from.
 */
#include "self.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static int name_of(struct self *self, const char *text, struct err *err)
{
	union addr_sock sock;
	socklen_t len = addr_to_sock(&self->addrs[0], 0, &sock);
	int r = getnameinfo(&sock.any, len, self->name, sizeof(self->name), NULL, 0, NI_NAMEREQD);

	if (r == 0)
		return 0;
	return err_set(err, ENOENT,
		"%s: no name belongs to this address (%s): give the name itself", text,
		gai_strerror(r));
}

static void add(struct self *self, const struct sockaddr *sa)
{
	if (self->count < SELF_ADDRS_MAX && addr_from_sock(sa, &self->addrs[self->count], NULL))
		self->count++;
}

static int addrs_of(struct self *self, const char *text, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	int r = getaddrinfo(text, NULL, &hints, &list);

	if (r != 0)
		return err_set(err, ENOENT, "%s: cannot be resolved: %s", text, gai_strerror(r));
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		add(self, i->ai_addr);
	freeaddrinfo(list);
	return self->count > 0 ? 0 : err_set(err, ENOENT, "%s: has no address", text);
}

int self_find(struct self *self, const char *text, struct err *err)
{
	memset(self, 0, sizeof(*self));
	if (!text)
		return 0;
	if (addr_parse(text, &self->addrs[0])) {
		self->count = 1;
		return name_of(self, text, err);
	}
	if (!*text || strlen(text) > SELF_NAME_MAX)
		return err_set(err, EINVAL, "\"%s\" is no name of a host", text);
	snprintf(self->name, sizeof(self->name), "%s", text);
	return addrs_of(self, text, err);
}

static int bind_to(int fd, const struct addr *a, uint16_t port)
{
	union addr_sock sock;
	socklen_t len = addr_to_sock(a, port, &sock);

	return bind(fd, &sock.any, len) < 0 ? -errno : 0;
}

static int bind_any(int fd, bool v6, uint16_t port)
{
	struct addr any = {0};

	if (!v6)
		addr_set_v4(&any, &(struct in_addr){INADDR_ANY});
	return bind_to(fd, &any, port);
}

int self_bind(const struct self *self, int fd, bool v6, uint16_t port)
{
	int r = -ENODATA;

	if (self->count == 0)
		return bind_any(fd, v6, port);
	for (size_t i = 0; i < self->count && r < 0; i++) {
		if (addr_is_v4(&self->addrs[i]) != v6)
			r = bind_to(fd, &self->addrs[i], port);
		if (r < 0 && r != -EADDRNOTAVAIL && r != -ENODATA)
			break;
	}
	return r;
}

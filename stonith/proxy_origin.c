/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sshd says of the client, taken only if it has the form it should have.
 */
#include "proxy_origin.h"

#include "fsutil.h"
#include "util.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AUTH_MAX = 16 * 1024 };

static void take_address(struct proxy_origin *o, const char *connection)
{
	size_t len = strcspn(connection, " ");
	char text[PROXY_ORIGIN_ADDRESS_MAX];
	struct in6_addr a;

	if (len >= sizeof(text))
		return;
	memcpy(text, connection, len);
	text[len] = 0;
	if (inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1)
		memcpy(o->address, text, len + 1);
}

/* "publickey TYPE BLOB", one method a line; the last key is the one that opened. */
static void take_key(struct proxy_origin *o, const char *auth)
{
	static const char method[] = "publickey ";

	while (*auth) {
		size_t len = strcspn(auth, "\n");
		char line[512];
		struct ssh_key k;

		if (len < sizeof(line) && strncmp(auth, method, sizeof(method) - 1) == 0) {
			memcpy(line, auth, len);
			line[len] = 0;
			if (ssh_key_parse(line + sizeof(method) - 1, &k) == 0)
				ssh_key_print(k.blob, k.len, o->key);
		}
		auth += len + (auth[len] == '\n');
	}
}

void proxy_origin_parse(struct proxy_origin *ret, const char *connection, const char *auth)
{
	*ret = (struct proxy_origin){.address = "?"};
	if (connection)
		take_address(ret, connection);
	if (auth)
		take_key(ret, auth);
}

void proxy_origin_find(struct proxy_origin *ret)
{
	const char *path = getenv("SSH_USER_AUTH");
	CLEANUP_FREE char *auth = NULL;
	struct err err;
	size_t len;

	if (path && fs_read(path, AUTH_MAX, &auth, &len, &err) < 0)
		auth = NULL;
	proxy_origin_parse(ret, getenv("SSH_CONNECTION"), auth);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is at the other end of a forced command, as sshd tells it in the environment: SSH_CONNECTION,
 * and with "ExposeAuthInfo yes" the key that was used (SSH_USER_AUTH). For logs; what may be done
 * does not depend on it. SSH_ORIGINAL_COMMAND, which is the client's text, is not read at all.
 */
#ifndef STONITH_PROXY_ORIGIN_H
#define STONITH_PROXY_ORIGIN_H

#include "ssh_key.h"

enum { PROXY_ORIGIN_ADDRESS_MAX = 48 };

struct proxy_origin {
	char address[PROXY_ORIGIN_ADDRESS_MAX]; /* literal, or "?" */
	char key[SSH_KEY_PRINT_MAX];            /* "ssh-ed25519 SHA256:...", or "" */
};

void proxy_origin_find(struct proxy_origin *ret);

/* Of the texts that sshd gives; NULL = not there. */
void proxy_origin_parse(struct proxy_origin *ret, const char *connection, const char *auth);

#endif

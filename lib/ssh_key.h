/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Public keys of SSH hosts as text: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5..." with an optional comment,
 * as in the .pub files of ssh-keygen(1). Pure.
 */
#ifndef LIB_SSH_KEY_H
#define LIB_SSH_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SSH_KEY_BLOB_MAX = 256,
	SSH_KEY_TYPE_MAX = 24,
	SSH_KEY_PRINT_MAX = 96, /* "ssh-ed25519 SHA256:..." */
};

struct ssh_key {
	const char *type; /* static */
	size_t len;
	uint8_t blob[SSH_KEY_BLOB_MAX];
};

/* Types that are used; the last one is NULL. RSA is not among them: the SSH library signs with
 * SHA-1 only, which servers refuse. */
extern const char *const ssh_key_types[];

/* -EINVAL: no key, the blob is of another type, or it is a type that is not used. */
int ssh_key_parse(const char *text, struct ssh_key *ret);

/* What is wrong with TEXT, which ssh_key_parse() does not take, and what would be right: as the end
 * of a sentence. */
const char *ssh_key_fault(const char *text);

/* Of a key as it is on the wire: one of ssh_key_types, NULL = none of these. */
const char *ssh_key_type(const uint8_t *blob, size_t len);

/* Its type and fingerprint, as ssh-keygen -l shows it. */
void ssh_key_print(const uint8_t *blob, size_t len, char ret[SSH_KEY_PRINT_MAX]);

#endif

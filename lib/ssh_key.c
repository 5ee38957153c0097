/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Public keys of SSH hosts. A key is a blob that begins with its type once more (RFC 4253, 6.6),
 * and that is what is compared; the text is only how it is written down.
 */
#include "ssh_key.h"

#include "buf.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

enum { BASE64_MAX = SSH_KEY_BLOB_MAX / 3 * 4 };

const char *const ssh_key_types[] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	NULL,
};

static const char *find_type(const char *text, size_t len)
{
	for (const char *const *t = ssh_key_types; *t; t++) {
		if (strlen(*t) == len && memcmp(*t, text, len) == 0)
			return *t;
	}
	return NULL;
}

/* The decoder fills the last group with zeros and counts them. */
static int decode(const char *text, size_t len, uint8_t *out)
{
	size_t padding = 0;
	int ret;

	if (len == 0 || len > BASE64_MAX || len % 4)
		return -EINVAL;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	ret = EVP_DecodeBlock(out, (const uint8_t *)text, (int)len);
	return ret < 0 ? -EINVAL : ret - (int)padding;
}

/* The type a blob has, NULL: none of a sane length. */
static const char *blob_type(const uint8_t *blob, size_t len, size_t *ret_len)
{
	if (len < 4 || get_u32(blob) > len - 4)
		return NULL;
	*ret_len = get_u32(blob);
	return (const char *)blob + 4;
}

const char *ssh_key_type(const uint8_t *blob, size_t len)
{
	size_t type_len;
	const char *type = blob_type(blob, len, &type_len);

	return type ? find_type(type, type_len) : NULL;
}

int ssh_key_parse(const char *text, struct ssh_key *ret)
{
	size_t type_len = strcspn(text, " \t"), start;
	struct ssh_key k = {.type = find_type(text, type_len)};
	int len;

	if (!k.type)
		return -EINVAL;
	start = type_len + strspn(text + type_len, " \t");
	len = decode(text + start, strcspn(text + start, " \t"), k.blob);
	if (len < 0)
		return -EINVAL;
	if (ssh_key_type(k.blob, (size_t)len) != k.type)
		return -EINVAL;
	k.len = (size_t)len;
	*ret = k;
	return 0;
}

const char *ssh_key_fault(const char *text)
{
	size_t len = strcspn(text, " ");

	if (text[len] && find_type(text, len))
		return "is not whole: copy the line of the host's .pub file as it is";
	return "must begin with ssh-ed25519 or ecdsa-sha2-nistp256 (384, 521), a space, and the "
	       "key in base64";
}

void ssh_key_print(const uint8_t *blob, size_t len, char ret[SSH_KEY_PRINT_MAX])
{
	uint8_t hash[SHA256_DIGEST_LENGTH], text[48];
	char type[SSH_KEY_TYPE_MAX] = "?";
	size_t type_len = 0;
	const char *inner = blob_type(blob, len, &type_len);

	if (inner)
		str_printable(type, sizeof(type), inner, type_len);
	SHA256(blob, len, hash);
	EVP_EncodeBlock(text, hash, sizeof(hash));
	text[strcspn((char *)text, "=")] = 0;
	snprintf(ret, SSH_KEY_PRINT_MAX, "%s SHA256:%s", type, (char *)text);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `pdu`: an address, a profile, and how to log in. What belongs to another version of SNMP
 * than the section's is a fault, as it means that the author thought of something else.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "secret.h"
#include "util.h"

#include <string.h>

enum {
	COMMUNITY_MIN = 1,
	PASSPHRASE_MIN = 8, /* RFC 3414, 11.2 */
	PASSPHRASE_MAX = 255,
	USER_MAX = 32, /* RFC 3414, SnmpAdminString of a user's name */
	TIMEOUT_MAX = 60000,
};

static const char *const versions[] = {"1", "2c", "3", NULL};
static const char *const auths[] = {
	"none", "MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512", NULL};
static const char *const privs[] = {"none", "DES", "AES", "AES-192", "AES-256", NULL};

#define AT(field) offsetof(struct config_pdu, field)

static const struct key keys[] = {
	{"address", KEY_TEXT, AT(address), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"IPv4 or IPv6 address, not a name. Required."},
	{"port", KEY_NUMBER, AT(port), 1, 65535, 161, NULL, 1, false, "UDP port; otherwise 161."},
	{"source", KEY_TEXT, AT(source), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Address of this host to send from; otherwise as the system chooses."},
	{"profile", KEY_TEXT, AT(profile_name), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"Its family: a built-in one (see PROFILES) or a section profile. Nothing is ever "
		"switched on a PDU whose sysObjectID is not one of its profile. Required."},
	{"version", KEY_CHOICE, AT(version), 0, 0, CONFIG_V3, versions, 1, false,
		"Version of SNMP; otherwise 3."},
	{"community-file", KEY_PATH, AT(community_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with the community, which must be able to write. Of versions 1 and 2c, there "
		"required."},
	{"user", KEY_TEXT, AT(user), 1, USER_MAX, 0, NULL, 1, false,
		"Name of the user. Of version 3, there required."},
	{"context", KEY_TEXT, AT(context), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Name of the context. Of version 3; otherwise the empty one."},
	{"auth", KEY_CHOICE, AT(auth), 0, 0, CONFIG_AUTH_NONE, auths, 1, false,
		"Authentication. Of version 3; otherwise none."},
	{"auth-file", KEY_PATH, AT(auth_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with the passphrase for authentication, of 8 bytes or more."},
	{"priv", KEY_CHOICE, AT(priv), 0, 0, CONFIG_PRIV_NONE, privs, 1, false,
		"Encryption; needs authentication. Of version 3; otherwise none."},
	{"priv-file", KEY_PATH, AT(priv_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with the passphrase for encryption, of 8 bytes or more."},
	{"timeout", KEY_NUMBER, AT(timeout), 50, TIMEOUT_MAX, 1000, NULL, 1, false,
		"Milliseconds to wait for an answer before a request is repeated; otherwise 1000."},
};
const struct key_set config_pdu_keys = {keys, ARRAY_LEN(keys)};

static void refuse_keys(struct conf *f, const struct conf_section *s, const char *const *names,
	size_t count, const char *where)
{
	for (size_t i = 0; i < count; i++) {
		if (conf_value(s, names[i]))
			conf_fault(f, s, names[i], "%s: belongs to version %s", names[i], where);
	}
}

static void check_community(
	struct conf *f, const struct conf_section *s, const struct config_pdu *p)
{
	static const char *const others[] = {
		"user", "context", "auth", "auth-file", "priv", "priv-file"};

	refuse_keys(f, s, others, ARRAY_LEN(others), "3");
	conf_require(f, s, "community-file", p->community_file, NULL);
}

static void check_pair(struct conf *f, const struct conf_section *s, const char *what, bool wanted,
	const char *file_key, const char *file)
{
	char why[64];

	snprintf(why, sizeof(why), "%s needs a passphrase", what);
	if (wanted)
		conf_require(f, s, file_key, file, why);
	else if (file && !s->torn)
		conf_fault(f, s, file_key, "%s: has no meaning without %s", file_key, what);
}

static void check_user(struct conf *f, const struct conf_section *s, const struct config_pdu *p)
{
	static const char *const others[] = {"community-file"};

	refuse_keys(f, s, others, ARRAY_LEN(others), "1 or 2c");
	conf_require(f, s, "user", p->user, "version 3 needs one");
	check_pair(f, s, "auth", p->auth != CONFIG_AUTH_NONE, "auth-file", p->auth_file);
	check_pair(f, s, "priv", p->priv != CONFIG_PRIV_NONE, "priv-file", p->priv_file);
	if (p->priv != CONFIG_PRIV_NONE && p->auth == CONFIG_AUTH_NONE && !s->torn)
		conf_fault(f, s, "priv", "priv: needs auth too");
}

static void read_secret(struct conf *f, const struct conf_section *s, const char *key,
	const char *path, size_t min, char **ret)
{
	struct err err;

	if (path && secret_read_line(path, min, PASSPHRASE_MAX, ret, &err) < 0)
		conf_fault(f, s, key, "%s: %s", key, err.text);
}

static void find_profile(
	struct conf *f, const struct conf_section *s, const struct config *c, struct config_pdu *p)
{
	struct config_guess guess = {.word = p->profile_name};
	char text[128];

	if (!conf_require(f, s, "profile", p->profile_name, NULL))
		return;
	p->profile = config_find_profile(c, p->profile_name);
	if (p->profile)
		return;
	for (size_t i = 0; i < profile_count; i++)
		config_guess(&guess, profile_table[i].name);
	for (size_t i = 0; i < c->family_count; i++)
		config_guess(&guess, c->families[i].name);
	conf_fault(f, s, "profile", "profile: \"%.64s\": there is no such profile%s",
		p->profile_name, config_guess_text(&guess, text, sizeof(text)));
}

/* One PDU under two names would be two ways to one outlet, which could be given to two nodes. */
static void check_same(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_pdu *p)
{
	struct in6_addr here, there;

	if (!p->address || !config_parse_address(p->address, &here))
		return;
	for (const struct config_pdu *q = c->pdus; q < p; q++) {
		if (q->address && q->port == p->port && config_parse_address(q->address, &there) &&
			memcmp(&here, &there, sizeof(here)) == 0)
			conf_fault(
				f, s, "address", "address: is that of pdu \"%.64s\" too", q->name);
	}
}

void config_read_pdu(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_pdu *p = &c->pdus[c->pdu_count++];

	key_init_all(&config_pdu_keys, p);
	p->name = name;
	conf_apply(f, s, p);
	conf_require(f, s, "address", p->address, NULL);
	config_check_address(f, s, "address", p->address);
	config_check_address(f, s, "source", p->source);
	check_same(f, s, c, p);
	find_profile(f, s, c, p);
	if (p->version == CONFIG_V3)
		check_user(f, s, p);
	else
		check_community(f, s, p);
	read_secret(f, s, "community-file", p->community_file, COMMUNITY_MIN, &p->community);
	read_secret(f, s, "auth-file", p->auth_file, PASSPHRASE_MIN, &p->auth_secret);
	read_secret(f, s, "priv-file", p->priv_file, PASSPHRASE_MIN, &p->priv_secret);
}

void config_free_pdu(struct config_pdu *p)
{
	secret_free(p->community);
	secret_free(p->auth_secret);
	secret_free(p->priv_secret);
	key_free_all(&config_pdu_keys, p);
	free(p->name);
}

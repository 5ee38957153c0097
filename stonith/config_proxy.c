/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `proxy`, for who goes by another host, and `caller`, for that host. The proxy's key is
 * pinned here, so a host that only has its address cannot pretend to have shot.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "secret.h"
#include "ssh_key.h"
#include "util.h"

#include <string.h>

_Static_assert((int)SSH_KEY_BLOB_MAX <= (int)CONFIG_HOST_KEY_MAX, "a key fits");

enum { SHARED_MIN = 16, USER_BYTES = 64, RATE_MAX = 64 };

#define AT(field) offsetof(struct config_proxy, field)

static const struct key proxy_keys[] = {
	{"address", KEY_TEXT, AT(address), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"IPv4 or IPv6 address, not a name. Required."},
	{"port", KEY_NUMBER, AT(port), 1, 65535, 22, NULL, 1, false, "TCP port; otherwise 22."},
	{"source", KEY_TEXT, AT(source), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Address of this host to connect from; otherwise as the system chooses."},
	{"user", KEY_TEXT, AT(user), 1, USER_BYTES, 0, NULL, 1, false,
		"User to log in as. Required."},
	{"key-file", KEY_PATH, AT(key_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with our private key, of type ed25519 or ECDSA and without a passphrase. "
		"Required."},
	{"host-key", KEY_TEXT, AT(host_key), 1, CONFIG_HOST_KEY_MAX, 0, NULL, 1, false,
		"The public key of that host, as in its ssh_host_ed25519_key.pub: type, space, "
		"base64. No other is accepted. Required."},
	{"secret-file", KEY_PATH, AT(secret_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with a secret of 16 bytes or more that the section caller on that host has "
		"too. Required."},
};
const struct key_set config_proxy_keys = {proxy_keys, ARRAY_LEN(proxy_keys)};

#undef AT
#define AT(field) offsetof(struct config_caller, field)

static const struct key caller_keys[] = {
	{"victims", KEY_TEXTS, AT(victims), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"The nodes it may ask about. Required."},
	{"actions", KEY_TEXTS, AT(actions_text), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"What it may ask for: off, on, reboot, status; otherwise off, reboot and status."},
	{"secret-file", KEY_PATH, AT(secret_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with the secret it has to know, of 16 bytes or more. Required."},
	{"rate", KEY_NUMBER, AT(rate), 1, RATE_MAX, 3, NULL, 1, false,
		"How often in ten minutes it may ask for anything but status; otherwise 3. What failed "
		"does not count."},
};
const struct key_set config_caller_keys = {caller_keys, ARRAY_LEN(caller_keys)};

static void read_secret(struct conf *f, const struct conf_section *s, const char *path, char **ret)
{
	struct err err;

	if (conf_require(f, s, "secret-file", path, NULL) &&
		secret_read_line(path, SHARED_MIN, SECRET_LINE_MAX, ret, &err) < 0)
		conf_fault(f, s, "secret-file", "secret-file: %s", err.text);
}

/* What would be found out on the day of the shot. The format of OpenSSH names its cipher: behind
 * the magic "openssh-key-v1" that is "none", BG5vbmU in base64, or there is a passphrase. */
static const char *wrong_key(const char *text)
{
	static const char magic[] = "\nb3BlbnNzaC1rZXktdjEAAAAA";
	const char *own = strstr(text, magic);

	if (!strstr(text, "PRIVATE KEY-----"))
		return "is no private key";
	if (strstr(text, "ENCRYPTED") || (own && strncmp(own + strlen(magic), "BG5vbmU", 7) != 0))
		return "has a passphrase, which nobody could type";
	if (strstr(text, "BEGIN RSA ") || strstr(text, "BEGIN DSA "))
		return "must be of type ed25519 or ECDSA";
	return NULL;
}

static void read_key(struct conf *f, const struct conf_section *s, struct config_proxy *p)
{
	const char *wrong;
	struct err err;

	if (!conf_require(f, s, "key-file", p->key_file, NULL))
		return;
	if (secret_read_text(p->key_file, &p->key, &err) < 0) {
		conf_fault(f, s, "key-file", "key-file: %s", err.text);
		return;
	}
	wrong = wrong_key(p->key);
	if (wrong)
		conf_fault(f, s, "key-file", "key-file: %s: %s", p->key_file, wrong);
}

static void read_host_key(struct conf *f, const struct conf_section *s, struct config_proxy *p)
{
	struct ssh_key key;

	if (!conf_require(f, s, "host-key", p->host_key, NULL))
		return;
	if (ssh_key_parse(p->host_key, &key) < 0) {
		conf_fault(f, s, "host-key", "host-key: %s", ssh_key_fault(p->host_key));
		return;
	}
	memcpy(p->host_key_bytes, key.blob, key.len);
	p->host_key_len = key.len;
}

void config_read_proxy(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_proxy *p = &c->proxies[c->proxy_count++];

	key_init_all(&config_proxy_keys, p);
	p->name = name;
	conf_apply(f, s, p);
	conf_require(f, s, "address", p->address, NULL);
	config_check_address(f, s, "address", p->address);
	config_check_address(f, s, "source", p->source);
	conf_require(f, s, "user", p->user, NULL);
	read_key(f, s, p);
	read_host_key(f, s, p);
	read_secret(f, s, p->secret_file, &p->secret);
}

void config_free_proxy(struct config_proxy *p)
{
	secret_free(p->key);
	secret_free(p->secret);
	key_free_all(&config_proxy_keys, p);
	free(p->name);
}

static void read_actions(struct conf *f, const struct conf_section *s, struct config_caller *x)
{
	if (!x->actions_text.count)
		x->actions = CONFIG_ACT_OFF | CONFIG_ACT_REBOOT | CONFIG_ACT_STATUS;
	if (conf_value(s, "actions") && !x->actions_text.count)
		conf_fault(f, s, "actions", "actions: must not be empty");
	for (size_t i = 0; i < x->actions_text.count; i++) {
		const char *text = x->actions_text.items[i];
		unsigned bit = config_action(text);

		if (!bit)
			conf_fault(f, s, "actions",
				"actions: \"%.64s\": must be off, on, reboot or status", text);
		x->actions |= bit;
	}
}

void config_read_caller(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_caller *x = &c->callers[c->caller_count++];

	key_init_all(&config_caller_keys, x);
	x->name = name;
	conf_apply(f, s, x);
	if (!x->victims.count && !s->torn)
		conf_fault(f, s, "victims", "victims: must name a node");
	read_actions(f, s, x);
	read_secret(f, s, x->secret_file, &x->secret);
}

/* The proxy's host must be able to shoot itself whom its callers name. */
void config_check_caller(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_caller *x)
{
	for (size_t i = 0; i < x->victims.count; i++) {
		const struct config_node *n = config_node(c, x->victims.items[i]);

		if (!n)
			config_no_node(f, s, "victims", c, x->victims.items[i]);
		else if (n->proxy_name)
			conf_fault(f, s, "victims",
				"victims: node \"%.64s\" is reached by a proxy itself; give it "
				"outlets",
				n->name);
	}
}

void config_free_caller(struct config_caller *x)
{
	secret_free(x->secret);
	key_free_all(&config_caller_keys, x);
	free(x->name);
}

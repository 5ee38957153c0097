/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of an export, and what they may be together; see export_config.h. */
#include "export_config.h"

#include "export.h"
#include "nbd.h"
#include "serial.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	TARGET = 1 << EXPORT_TARGET,
	COW = 1 << EXPORT_COW,
	PROXY = 1 << EXPORT_PROXY,
	ALL = TARGET | COW | PROXY,
	ONE = EXPORT_KEY_SECTION,                       /* each has its own */
	ANY = EXPORT_KEY_SECTION | EXPORT_KEY_DEFAULTS, /* may be a default of all */
	LIVE = EXPORT_KEY_LIVE,
	PATH_BYTES_MAX = 4095,
	HOST_MAX = 4095,
};

#define KIB  1024ULL
#define MIB  (1024 * KIB)
#define MANY 1000000ULL

static const char *const modes[] = {"target", "cow-target", "proxy", NULL};
static const char *const exclusives[] = {"no", "writer", "writer, others readonly", NULL};

#define AT(field) offsetof(struct export_config, field)

static const struct key keys[] = {
	{"mode", KEY_CHOICE, AT(kind), 0, 0, 0, modes, ALL | ANY, false,
		"What is served: an image or device as it is, copy-on-write (each connection has "
		"a layer of its own above the image), or another server's export through a cache."},
	{"image", KEY_PATH, AT(image), 1, PATH_BYTES_MAX, 0, NULL, TARGET | COW | ONE, false,
		"A regular file or block device; required. If it is missing, the export is "
		"refused to clients until it is there."},
	{"readonly", KEY_FLAG, AT(readonly), 0, 0, 0, NULL, ALL | ANY, false,
		"Clients cannot write, and are told so."},
	{"description", KEY_TEXT, AT(description), 0, NBD_STRING_MAX, 0, NULL, ALL | ONE | LIVE,
		false, "Shown to clients that list exports."},
	{"default", KEY_FLAG, AT(is_default), 0, 0, 0, NULL, ALL | ONE | LIVE, false,
		"Serve it also to clients that ask for no name. One export at most; without any, "
		"an export that is the only one is it."},
	{"serial", KEY_TEXT, AT(serial), 1, EXPORT_SERIAL_MAX, 0, NULL, ALL | ONE | LIVE, false,
		"An identity that stays when the export is renamed or moves to another host. "
		"Made up once and kept in the state file if it is not given."},
	{"cow-dir", KEY_PATH, AT(cow_dir), 1, PATH_BYTES_MAX, 0, NULL, COW | ANY, false,
		"Folder for the layers; otherwise that of the image."},
	{"cow-block", KEY_SIZE, AT(cow_block), 4 * KIB, MIB, 0, NULL, COW | ANY, false,
		"Unit of copying, a power of two; otherwise 64K."},
	{"origin", KEY_TEXT, AT(uri), 1, 0, 0, NULL, PROXY | ONE, false,
		"The other server and its export as a URI: nbd://HOST:PORT/NAME or "
		"nbd+unix:///NAME?socket=PATH."},
	{"host", KEY_TEXT, AT(host), 1, HOST_MAX, 0, NULL, PROXY | ONE, false,
		"The other server, with port, instead of origin."},
	{"port", KEY_TEXT, AT(port), 1, HOST_MAX, 0, NULL, PROXY | ONE, false,
		"Port or service of host."},
	{"exportname", KEY_TEXT, AT(exportname), 0, NBD_STRING_MAX, 0, NULL, PROXY | ONE, false,
		"Name of the export there, with host; otherwise its default export."},
	{"cache", KEY_PATH, AT(image), 1, PATH_BYTES_MAX, 0, NULL, PROXY | ONE, true,
		"A file or block device for the data, which becomes the disk in the end; required. "
		"Made if it is missing."},
	{"bitmap", KEY_PATH, AT(bitmap), 1, PATH_BYTES_MAX, 0, NULL, PROXY | ONE, false,
		"Which blocks the cache has; otherwise CACHE.bitmap."},
	{"control", KEY_PATH, AT(control), 1, PATH_BYTES_MAX, 0, NULL, PROXY | ONE, false,
		"The proxy's own control socket, for xnbd-bgctl; otherwise one in the run "
		"directory."},
	{"origin-timeout", KEY_NUMBER, AT(origin_timeout), 1, 3600, 0, NULL, PROXY | ANY, false,
		"Seconds without an answer after which the origin counts as lost; otherwise 15."},
	{"origin-wait", KEY_NUMBER, AT(origin_wait), 1, MANY, 0, NULL, PROXY | ANY, false,
		"Seconds a read waits for a lost origin before it fails; otherwise 300."},
	{"origin-connections", KEY_NUMBER, AT(origin_connections), 1, 16, 0, NULL, PROXY | ANY,
		false, "Connections to the origin; otherwise 4."},
	{"block-min", KEY_SIZE, AT(block_min), 1, 64 * KIB, 0, NULL, ALL | ANY, false,
		"Requests must be multiples of this power of two; otherwise 1. Clients are told."},
	{"block-preferred", KEY_SIZE, AT(block_preferred), 512, EXPORT_PAYLOAD_MAX, 0, NULL,
		ALL | ANY, false,
		"A power of two, what clients are told to be best; otherwise what the image's file "
		"system says."},
	{"block-max", KEY_SIZE, AT(block_max), 512, EXPORT_PAYLOAD_MAX, 0, NULL, ALL | ANY, false,
		"A power of two, the longest read or write; otherwise 64M."},
	{"threads", KEY_NUMBER, AT(threads), 1, 64, 0, NULL, ALL | ANY, false,
		"Threads that serve its clients; otherwise one for each processor, at most 4."},
	{"max-clients", KEY_NUMBER, AT(max_clients), 0, MANY, 0, NULL, ALL | ANY | LIVE, false,
		"Clients of this export at once; otherwise, or with 0, only the wrapper's limits "
		"hold."},
	{"idle-timeout", KEY_NUMBER, AT(idle_timeout), 0, MANY, 0, NULL, ALL | ANY | LIVE, false,
		"Seconds without a request after which a client is ended; otherwise, or with 0, "
		"that of section wrapper."},
	{"limit-requests", KEY_NUMBER, AT(limit_requests), 0, 1000 * MANY, 0, NULL,
		ALL | ANY | LIVE, false,
		"Requests a second, of all its clients together; otherwise, or with 0, no limit."},
	{"limit-bandwidth", KEY_SIZE, AT(limit_bandwidth), 0, 1ULL << 40, 0, NULL, ALL | ANY | LIVE,
		false,
		"Bytes a second, read and written, of all its clients together; otherwise, or with "
		"0, no limit."},
	{"allow", KEY_PEERS, AT(allow), 0, 0, 0, NULL, ALL | ANY | LIVE, false,
		"Peers that may use it; otherwise all. For others it does not exist."},
	{"deny", KEY_PEERS, AT(deny), 0, 0, 0, NULL, ALL | ANY | LIVE, false,
		"Peers that may not, even if allow names them."},
	{"readonly-for", KEY_PEERS, AT(readonly_for), 0, 0, 0, NULL, ALL | ANY | LIVE, false,
		"Peers that cannot write."},
	{"exclusive", KEY_CHOICE, AT(exclusive), 0, 0, 0, exclusives, ALL | ANY | LIVE, false,
		"With writer, one peer at a time may be connected for writing; others are "
		"refused, or else read-only."},
};

const struct key_set export_keys = {keys, ARRAY_LEN(keys)};

/* Copies. */

int export_config_copy(struct export_config *to, const struct export_config *from)
{
	struct export_config copy = {0};
	int r = key_copy_all(&export_keys, &copy, from);

	if (r == 0 && from->name && !(copy.name = strdup(from->name))) {
		key_free_all(&export_keys, &copy);
		r = -ENOMEM;
	}
	copy.source = from->source;
	*to = r == 0 ? copy : (struct export_config){0};
	return r;
}

void export_config_free(struct export_config *c)
{
	key_free_all(&export_keys, c);
	free((void *)(uintptr_t)c->name);
	*c = (struct export_config){0};
}

/* Checks. */

static bool is_given(const char *text)
{
	return text && *text;
}

int export_config_check_origin(const struct export_config *c, struct err *err)
{
	if (c->uri && (c->host || c->port || c->exportname))
		return err_set(err, EINVAL,
			"an origin is a URI, or a host and a port, not both; the URI has the name");
	if (c->uri)
		return export_check_uri(c->uri, err);
	if (!is_given(c->host) || !is_given(c->port))
		return err_set(err, EINVAL, "a proxy needs an origin: a URI, or a host and a port");
	if (strlen(c->host) > HOST_MAX || strlen(c->port) > HOST_MAX)
		return err_set(err, EINVAL, "host and port of the origin: less than 4096 bytes");
	return export_check_name(
		c->exportname ? c->exportname : "", c->exportname ? strlen(c->exportname) : 0, err);
}

/* The first mode a key belongs to is enough to say what is wrong. */
static const char *owner_of(const struct key *k)
{
	return k->where & TARGET ? "target or cow-target" : k->where & COW ? "cow-target" : "proxy";
}

static int check_mode(const struct export_config *c, const char **ret_key, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		*ret_key = keys[i].name;
		if (keys[i].alias || keys[i].offset == AT(image) || keys[i].where & 1U << c->kind ||
			!key_is_given(&keys[i], c))
			continue;
		return err_set(err, EINVAL, "%s belongs to mode %s, this one is a %s", keys[i].name,
			owner_of(&keys[i]), modes[c->kind]);
	}
	*ret_key = c->kind == EXPORT_PROXY ? "cache" : "image";
	if (!is_given(c->image))
		return err_set(err, EINVAL, "%s = \"PATH\" is missing", *ret_key);
	return 0;
}

static int check_proxy(const struct export_config *c, const char **ret_key, struct err *err)
{
	*ret_key = "bitmap";
	if (c->bitmap && strcmp(c->bitmap, c->image) == 0)
		return err_set(err, EINVAL, "cache and bitmap are the same file");
	*ret_key = c->uri ? "origin" : "host";
	return export_config_check_origin(c, err);
}

/* As xnbd-server has it. */
static int check_blocks(const struct export_config *c, const char **ret_key, struct err *err)
{
	const struct {
		const char *key;
		uint64_t size, least;
		const char *below;
	} sizes[] = {
		{"cow-block", c->cow_block, 0, NULL},
		{"block-min", c->block_min, 0, NULL},
		{"block-preferred", c->block_preferred, c->block_min, "block-min"},
		{"block-max", c->block_max, c->block_min, "block-min"},
		{"block-max", c->block_max, c->block_preferred, "block-preferred"},
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		*ret_key = sizes[i].key;
		if (!sizes[i].size)
			continue;
		if (!is_power_of_2(sizes[i].size))
			return err_set(err, EINVAL, "%s: %llu is not a power of two", sizes[i].key,
				(unsigned long long)sizes[i].size);
		if (sizes[i].size < sizes[i].least)
			return err_set(err, EINVAL, "%s: must not be less than %s", sizes[i].key,
				sizes[i].below);
	}
	return 0;
}

/* What did not come from a file. Paths may be any bytes there, as names of files are. */
static int check_values(const struct export_config *c, const char **ret_key, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct err why = {0};

		*ret_key = keys[i].name;
		if (keys[i].type == KEY_PATH || !key_is_given(&keys[i], c))
			continue;
		if (key_check(&keys[i], c, &why) < 0)
			return err_set(err, why.code, "%s: %s", keys[i].name, why.text);
	}
	return 0;
}

/* It is shown behind the description. */
static int check_serial(const struct export_config *c, const char **ret_key, struct err *err)
{
	*ret_key = "serial";
	if (!c->serial || serial_is_good(c->serial))
		return 0;
	return err_set(err, EINVAL, "serial: must be printable ASCII without spaces");
}

int export_config_check_blocks(const struct export_config *c, const char **ret_key, struct err *err)
{
	const char *key;
	int r = check_blocks(c, &key, err);

	*ret_key = r < 0 ? key : NULL;
	return r;
}

int export_config_check(const struct export_config *c, const char **ret_key, struct err *err)
{
	const char *key;
	int r = check_mode(c, &key, err);

	if (r == 0 && c->kind == EXPORT_PROXY)
		r = check_proxy(c, &key, err);
	if (r == 0)
		r = check_blocks(c, &key, err);
	if (r == 0)
		r = check_values(c, &key, err);
	if (r == 0)
		r = check_serial(c, &key, err);
	if (ret_key)
		*ret_key = r < 0 ? key : NULL;
	return r;
}

const char *export_config_mode(enum export_kind kind)
{
	return modes[kind];
}

bool export_config_find_mode(const char *mode, enum export_kind *ret)
{
	for (int i = 0; modes[i]; i++) {
		if (strcmp(modes[i], mode) != 0)
			continue;
		*ret = (enum export_kind)i;
		return true;
	}
	return false;
}

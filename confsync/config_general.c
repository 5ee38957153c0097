/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section `confsync`, which may be left out: what holds for both nodes, and where files are. Texts
 * that are not given are filled in, so that nobody else has to know the defaults.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "fsutil.h"
#include "util.h"

#include <string.h>

enum { SOCKET_BYTES = 107, USER_BYTES = 64, DAY = 86400 };

#define DEFAULT_KEY_FILE  "/etc/xnbd/secret/confsync.key"
#define DEFAULT_FENCE_LOG "/var/lib/xnbd/stonith.audit"

#define AT(field) offsetof(struct config_general, field)

static const struct key keys[] = {
	{"self", KEY_TEXT, AT(self), 1, GENERATION_NAME_MAX - 1, 0, NULL, 1, false,
		"The node that this host is; otherwise the one with the host's name, with or "
		"without its domain."},
	{"state-directory", KEY_PATH, AT(state_directory), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"Folder for generations, for root alone; otherwise /var/lib/xnbd/confsync. It is "
		"never part of a set."},
	{"control", KEY_PATH, AT(control), 1, SOCKET_BYTES, 0, NULL, 1, false,
		"Control socket of the daemon; otherwise /run/xnbd-confsync.sock."},
	{"user", KEY_TEXT, AT(user), 1, USER_BYTES, 0, NULL, 1, false,
		"User to log in as on the peer; otherwise root."},
	{"key-file", KEY_PATH, AT(key_file), 1, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"File with this node's private key, of type ed25519 or ECDSA and without a "
		"passphrase; otherwise /etc/xnbd/secret/confsync.key."},
	{"role-command", KEY_TEXT, AT(role_command), 1, CONFIG_COMMAND_BYTES, 0, NULL, 1, false,
		"Command, for /bin/sh, whose exit status is 0 on the active node of the cluster and "
		"another one elsewhere. Without it nobody knows which node is active."},
	{"fence-log", KEY_TEXT, AT(fence_log), 0, CONFIG_PATH_BYTES, 0, NULL, 1, false,
		"The audit log of xnbd-stonith, which tells that the peer was switched off, verified; "
		"otherwise /var/lib/xnbd/stonith.audit. An empty text: there is none."},
	{"deadline", KEY_NUMBER, AT(deadline), 1, DAY, 300, NULL, 1, false,
		"Seconds after which a conversation with the peer is given up; otherwise 300."},
	{"connect-timeout", KEY_NUMBER, AT(connect_timeout), 1, 600, 10, NULL, 1, false,
		"Seconds to wait for the peer to let us in; otherwise 10."},
	{"settle", KEY_NUMBER, AT(settle), 0, 3600000, 2000, NULL, 1, false,
		"Milliseconds without a further change before the daemon acts; otherwise 2000."},
	{"interval", KEY_NUMBER, AT(interval), 1, DAY, 60, NULL, 1, false,
		"Seconds between two looks of the daemon at the peer; otherwise 60."},
	{"scan-interval", KEY_NUMBER, AT(scan_interval), 1, DAY, 3600, NULL, 1, false,
		"Seconds between two scans of the daemon that read all files, whatever their times "
		"say; otherwise 3600."},
	{"follow-peer", KEY_FLAG, AT(follow_peer), 0, 0, 0, NULL, 1, false,
		"May the peer change this file, those it includes, and the key file, if they are in "
		"a set? Whoever may change them can run commands here as root."},
};
const struct key_set config_general_keys = {keys, ARRAY_LEN(keys)};

/* The fence of config_own.c goes by names, and paths of sets have no links in them. */
static void resolve(struct conf *f, const char **path)
{
	char *real = *path && **path ? fs_real(*path) : NULL;

	if (!real && (!*path || **path))
		conf_fault_at(f, CONFIG_DEFAULT, 0, "out of memory");
	if (!real)
		return;
	free((char *)*path);
	*path = real;
}

static void resolve_all(struct conf *f, const struct conf_section *s, struct config_general *g)
{
	resolve(f, &g->state_directory);
	resolve(f, &g->control);
	resolve(f, &g->fence_log);
	if (s && g->control && strlen(g->control) > SOCKET_BYTES)
		conf_fault(f, s, "control",
			"control: without symbolic links it is %s, longer than %d bytes",
			g->control, SOCKET_BYTES);
}

void config_read_general(struct conf *f, const struct conf_section *s, struct config *c)
{
	struct config_general *g = &c->general;

	key_init_all(&config_general_keys, g);
	if (s)
		conf_apply(f, s, g);
	if (g->fence_log && *g->fence_log && *g->fence_log != '/')
		conf_fault(
			f, s, "fence-log", "fence-log: must be an absolute path, or \"\" for none");
	/* What follows the socket or the folder is added by others. */
	conf_fill_in(f, CONFIG_DEFAULT, &g->state_directory, CONFIG_STATE_DIRECTORY);
	conf_fill_in(f, CONFIG_DEFAULT, &g->control, CONFIG_CONTROL);
	conf_fill_in(f, CONFIG_DEFAULT, &g->user, "root");
	conf_fill_in(f, CONFIG_DEFAULT, &g->key_file, DEFAULT_KEY_FILE);
	conf_fill_in(f, CONFIG_DEFAULT, &g->fence_log, DEFAULT_FENCE_LOG);
	resolve_all(f, s, g);
}

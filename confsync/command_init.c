/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync init`: this node's key, made by ssh-keygen(1) if there is none, and the two lines
 * that the administrator puts where the peer finds them. It works before there is a configuration
 * that is whole, as the peer's host key, which it needs, comes from the peer's `init`. A key that
 * is there is never replaced.
 */
#include "command.h"
#include "fsutil.h"
#include "log.h"
#include "report.h"
#include "ssh_key.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define KEY_DEFAULT "/etc/xnbd/secret/confsync.key"

enum { KEY_ROOM = 1024, COMMAND_ROOM = 2 * PATH_MAX + 128 };

struct init {
	const char *key_file, *node;
	char host[HOST_NAME_MAX + 1];
	bool made;
	char key[KEY_ROOM], host_key[KEY_ROOM]; /* "" = none was found */
	char command[COMMAND_ROOM];
};

/* OUT -1: stdout stays. Its stderr is ours, so that people see why. */
static int run(const char *const argv[], int out, struct err *err)
{
	static const char *const env[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
	posix_spawn_file_actions_t todo;
	int r, status = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&todo);
	posix_spawn_file_actions_addopen(&todo, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&todo, out < 0 ? STDERR_FILENO : out, STDOUT_FILENO);
	r = posix_spawnp(&pid, argv[0], &todo, NULL, (char *const *)argv, (char *const *)env);
	posix_spawn_file_actions_destroy(&todo);
	if (r)
		return err_sys(err, r, "%s (package openssh-client)", argv[0]);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, EIO, "%s failed", argv[0]);
	return 0;
}

/* FOLDER and the one it is in. */
static int make_folders(const char *file, struct err *err)
{
	CLEANUP_FREE char *folder = strdup(file);
	char *end = folder ? strrchr(folder, '/') : NULL;
	int r;

	if (!end)
		return err_sys(err, ENOMEM, "%.300s", file);
	*end = 0;
	r = *folder ? fs_make_folder_of(folder, 0755, err) : 0;
	return r < 0 ? r : fs_make_folder_of(file, 0700, err);
}

/* It lies among secrets, is none, and is no other node's business; we have it from the key. */
static void drop_public_half(const char *key_file)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s.pub", key_file) < 0)
		path = NULL;
	else
		unlink(path);
}

static int make_key(struct init *x, struct err *err)
{
	char comment[HOST_NAME_MAX + 32];
	const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment,
		"-f", x->key_file, NULL};
	struct stat st;
	int r;

	if (lstat(x->key_file, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, errno, "%.300s", x->key_file);
	snprintf(comment, sizeof(comment), "xnbd-confsync %s", x->node);
	r = make_folders(x->key_file, err);
	if (r == 0)
		r = run(argv, -1, err);
	x->made = r == 0;
	if (r == 0)
		drop_public_half(x->key_file);
	return r;
}

/* The public half, from the private one: a .pub file beside it may be another's. */
static int read_key(struct init *x, struct err *err)
{
	const char *const argv[] = {"ssh-keygen", "-y", "-P", "", "-f", x->key_file, NULL};
	struct ssh_key key;
	FILE *out = tmpfile();
	int r;

	if (!out)
		return err_sys(err, errno, "temporary file");
	r = run(argv, fileno(out), err);
	if (r == 0) {
		rewind(out);
		if (!fgets(x->key, sizeof(x->key), out))
			x->key[0] = 0;
		x->key[strcspn(x->key, "\n")] = 0;
		if (ssh_key_parse(x->key, &key) < 0)
			r = err_set(err, EINVAL,
				"%.300s: an ed25519 or ECDSA key without passphrase is needed",
				x->key_file);
	}
	fclose(out);
	return r;
}

/* Without its comment. */
static void find_host_key(struct init *x)
{
	static const char *const files[] = {
		"/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_ecdsa_key.pub"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		CLEANUP_FREE char *text = NULL;
		struct ssh_key key;
		size_t len, end;

		if (fs_read(files[i], KEY_ROOM - 1, &text, &len, NULL) < 0)
			continue;
		end = strcspn(text, " \n");
		if (text[end] == ' ')
			end += 1 + strcspn(text + end + 1, " \n");
		text[end] = 0;
		if (ssh_key_parse(text, &key) < 0)
			continue;
		snprintf(x->host_key, sizeof(x->host_key), "%s", text);
		return;
	}
}

static bool is_plain(const char *path)
{
	return !strpbrk(path, " \t\n\"'\\$`");
}

/* The program that is running, wherever it is installed. */
static int build_command(const struct options *o, struct init *x, struct err *err)
{
	CLEANUP_FREE char *config = fs_absolute(o->config);
	bool given = config && strcmp(config, CONFIG_DEFAULT) != 0;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_sys(err, errno, "/proc/self/exe");
	self[n] = 0;
	if (!is_plain(self) || (given && !is_plain(config)))
		return err_set(err, EINVAL,
			"a path with blanks or quotes cannot be in authorized_keys: %.200s %.200s",
			self, given ? config : "");
	snprintf(x->command, sizeof(x->command), "%s%s%s --serve %s", self,
		given ? " --config " : "", given ? config : "", x->node);
	return 0;
}

static void show(const struct options *o, const struct init *x)
{
	char line[sizeof(x->command) + KEY_ROOM + 32];

	snprintf(line, sizeof(line), "restrict,command=\"%s\" %s", x->command, x->key);
	if (o->json) {
		report_json(json_pack("{ss ss sb ss so}", "node", x->node, "key-file", x->key_file,
			"made", x->made, "authorized-key", line, "host-key",
			report_text(x->host_key)));
		return;
	}
	if (!o->quiet)
		printf("# %s %s\n# On the other node, a line of /root/.ssh/authorized_keys:\n",
			x->key_file, x->made ? "was made" : "is there");
	printf("%s\n", line);
	if (!o->quiet)
		printf("# On both nodes, in section `node \"%s\"` of confsync.conf:\n", x->node);
	if (*x->host_key)
		printf("host-key = \"%s\"\n", x->host_key);
	else
		log_warn("no ed25519 or ECDSA host key in /etc/ssh: is sshd installed?");
}

/* Who we are, when there is no configuration to say so. */
static int name_node(const struct config *c, struct init *x, struct err *err)
{
	x->key_file = c ? c->general.key_file : KEY_DEFAULT;
	if (gethostname(x->host, sizeof(x->host) - 1) < 0)
		return err_sys(err, errno, "host name");
	x->host[strcspn(x->host, ".")] = 0;
	x->node = c ? c->self->name : x->host;
	if (!generation_name_ok(x->node))
		return err_set(err, EINVAL, "'%.64s': no name for a node; key `self` gives another",
			x->node);
	return 0;
}

int command_init(const struct options *o, const struct config *c)
{
	struct init *x = calloc(1, sizeof(*x));
	struct err err = {0};
	int ret = COMMAND_DONE, r = x ? 0 : err_sys(&err, ENOMEM, "init");

	if (r == 0)
		r = name_node(c, x, &err);
	if (r == 0)
		r = build_command(o, x, &err);
	if (r == 0)
		r = make_key(x, &err);
	if (r == 0)
		r = read_key(x, &err);
	if (r == 0) {
		find_host_key(x);
		show(o, x);
	} else {
		ret = command_fail(NULL, &err);
	}
	free(x);
	return ret;
}

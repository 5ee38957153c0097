/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LVM's commands as children; see vg_run.h. What a child prints goes to files in memory, which take
 * all of it whatever we do meanwhile, so there is nothing to be polled. There is no deadline: a
 * command that is killed while a device is suspended leaves it suspended, and that is worse than to
 * wait.
 */
#include "vg_run.h"

#include "fsutil.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Cron jobs have a PATH without sbin. */
static const char *const places[] = {"lvm", "/usr/sbin/lvm", "/sbin/lvm"};

static const char *const environment[] = {
	"LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};

void vg_args_add(struct vg_args *a, const char *word)
{
	if (a->count < VG_ARGS_MAX)
		a->words[a->count] = word;
	a->count++;
}

void vg_complaint(const char *text, char *out, size_t room)
{
	while (*text) {
		size_t len = strcspn(text, "\n"), blank = strspn(text, " \t");

		if (blank < len && strncmp(text + blank, "WARNING:", 8) != 0) {
			str_printable(out, room, text + blank, len - blank);
			return;
		}
		text += len + (text[len] == '\n');
	}
	snprintf(out, room, "%s", "it does not say why");
}

/* Starting. */

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawnattr_init(attr) != 0)
		return -ENOMEM;
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0); /* away from the terminal's signals */
	posix_spawnattr_setflags(
		attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	return 0;
}

static int set_files(posix_spawn_file_actions_t *files, int out, int complaints)
{
	if (posix_spawn_file_actions_init(files) != 0)
		return -ENOMEM;
	if (posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
		posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO) == 0 &&
		posix_spawn_file_actions_adddup2(files, complaints, STDERR_FILENO) == 0)
		return 0;
	posix_spawn_file_actions_destroy(files);
	return -ENOMEM;
}

/* Our environment with what LVM is to have instead; ends in NULL, only the array is malloc'd. */
static char **make_environment(void)
{
	size_t count = 0, used = 0;
	char **all;

	while (environ[count])
		count++;
	all = calloc(count + ARRAY_LEN(environment) + 1, sizeof(*all));
	for (size_t i = 0; all && i < ARRAY_LEN(environment); i++)
		all[used++] = (char *)(uintptr_t)environment[i];
	for (size_t i = 0; all && i < count; i++) {
		if (strncmp(environ[i], "LC_ALL=", 7) != 0 && strncmp(environ[i], "PATH=", 5) != 0)
			all[used++] = environ[i];
	}
	return all;
}

static int spawn(char **words, const posix_spawn_file_actions_t *files,
	const posix_spawnattr_t *attr, pid_t *ret)
{
	CLEANUP_FREE char **env = make_environment();
	int r = env ? ENOENT : ENOMEM;

	for (size_t i = 0; r == ENOENT && i < ARRAY_LEN(places); i++)
		r = posix_spawnp(ret, places[i], files, attr, words, env);
	return -r;
}

static int start(const struct vg_args *args, int out, int complaints, pid_t *ret)
{
	char *words[VG_ARGS_MAX + 2] = {(char *)(uintptr_t) "lvm"};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r = set_attributes(&attr);

	if (r < 0)
		return r;
	r = set_files(&files, out, complaints);
	if (r == 0) {
		for (size_t i = 0; i < args->count; i++)
			words[i + 1] = (char *)(uintptr_t)args->words[i];
		r = spawn(words, &files, &attr, ret);
		posix_spawn_file_actions_destroy(&files);
	}
	posix_spawnattr_destroy(&attr);
	return r;
}

/* And its end. */

static int text_of(int fd, char **ret)
{
	struct stat st;
	ssize_t n;
	char *text;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > VG_OUTPUT_MAX)
		return -EMSGSIZE;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = fs_read_at(fd, text, (size_t)st.st_size, 0);
	if (n < 0) {
		free(text);
		return (int)n;
	}
	text[n] = 0; /* what follows a zero byte is not for us: LVM prints none */
	*ret = text;
	return 0;
}

static int judge(const struct vg_args *args, int status, int complaints, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char line[320];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return err_set(
			err, EIO, "%s: ended by signal %d", args->words[0], WTERMSIG(status));
	if (text_of(complaints, &text) < 0)
		return err_set(err, EIO, "%s: exit status %d", args->words[0], WEXITSTATUS(status));
	vg_complaint(text, line, sizeof(line));
	return err_set(err, EIO, "%s: %s", args->words[0], line);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return status;
}

int vg_run(const struct vg_args *args, char **ret_out, struct err *err)
{
	CLEANUP_FD int out = memfd_create("lvm", MFD_CLOEXEC);
	CLEANUP_FD int complaints = memfd_create("lvm", MFD_CLOEXEC);
	pid_t pid;
	int r;

	if (args->count == 0 || args->count > VG_ARGS_MAX)
		return err_sys(err, E2BIG, "a command of LVM");
	if (out < 0 || complaints < 0)
		return err_sys(err, errno, "a file in memory");
	r = start(args, out, complaints, &pid);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "lvm: not found; the package lvm2 is needed");
	if (r < 0)
		return err_sys(err, -r, "lvm");
	r = wait_for(pid);
	if (r < 0)
		return err_sys(err, -r, "%s", args->words[0]);
	r = judge(args, r, complaints, err);
	if (r == 0 && ret_out) {
		r = text_of(out, ret_out);
		if (r < 0)
			err_sys(err, -r, "%s: its answer", args->words[0]);
	}
	return r;
}

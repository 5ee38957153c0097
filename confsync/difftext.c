/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences of files and of texts; see difftext.h. diff(1) gets the contents as descriptors, so
 * that none of them is written anywhere, and what it says is made printable line by line.
 */
#include "difftext.h"

#include "fsutil.h"
#include "report.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PIECE = 65536, WHAT_ROOM = 512, OLD_FD = 3, NEW_FD = 4, SAFE_FD = 10, DIFF_TROUBLE = 2 };

/* Lines for files. */

static void add(char *out, size_t room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *out, size_t room, const char *fmt, ...)
{
	size_t used = strlen(out);
	va_list ap;

	if (used && used + 2 < room) {
		memcpy(out + used, ", ", 3);
		used += 2;
	}
	va_start(ap, fmt);
	vsnprintf(out + used, room - used, fmt, ap);
	va_end(ap);
}

static const char *type_name(enum manifest_type t)
{
	return t == MANIFEST_FILE ? "file" : t == MANIFEST_FOLDER ? "folder" : "link";
}

static void describe(const struct change *c, char *out, size_t room)
{
	const struct entry *a = c->old, *b = c->new;

	*out = 0;
	if (c->what & ENTRY_TYPE)
		add(out, room, "%s -> %s", type_name(a->type), type_name(b->type));
	if (c->what & ENTRY_CONTENT)
		add(out, room, "%s", b->type == MANIFEST_LINK ? "target" : "content");
	if (c->what & ENTRY_MODE)
		add(out, room, "mode %04o -> %04o", a->mode, b->mode);
	if (c->what & ENTRY_OWNER)
		add(out, room, "owner %s:%s -> %s:%s", a->owner, a->group, b->owner, b->group);
	if (c->what & ENTRY_ATTRS)
		add(out, room, "attributes");
}

void difftext_change(const struct change *c)
{
	const struct entry *e = c->new ? c->new : c->old;
	char what[WHAT_ROOM];

	fputs(c->kind == CHANGE_ADD ? "+ " : c->kind == CHANGE_DELETE ? "- " : "~ ", stdout);
	report_line(e->path, strlen(e->path));
	if (e->type == MANIFEST_FOLDER)
		putchar('/');
	if (c->kind == CHANGE_EDIT) {
		describe(c, what, sizeof(what));
		fputs(" (", stdout);
		report_line(what, strlen(what));
		putchar(')');
	}
	putchar('\n');
}

json_t *difftext_document(const struct change *c)
{
	static const char *const kinds[] = {
		[CHANGE_ADD] = "add", [CHANGE_EDIT] = "change", [CHANGE_DELETE] = "delete"};
	const struct entry *e = c->new ? c->new : c->old;
	json_t *d = json_object(), *what = json_array();
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {{ENTRY_TYPE, "type"}, {ENTRY_CONTENT, "content"}, {ENTRY_MODE, "mode"},
		{ENTRY_OWNER, "owner"}, {ENTRY_ATTRS, "attributes"}};

	json_object_set_new(d, "path", report_text(e->path));
	json_object_set_new(d, "type", json_string(type_name(e->type)));
	json_object_set_new(d, "change", json_string(kinds[c->kind]));
	for (size_t i = 0; i < ARRAY_LEN(names) && c->kind == CHANGE_EDIT; i++) {
		if (c->what & names[i].bit)
			json_array_append_new(what, json_string(names[i].name));
	}
	json_object_set_new(d, "what", what);
	return d;
}

/* Contents. */

/* A zero byte is in no text; -errno. */
static int is_text(int fd, uint64_t *size)
{
	CLEANUP_FREE char *piece = malloc(PIECE);
	struct stat st;
	ssize_t n = 1;

	if (!piece || fstat(fd, &st) < 0)
		return piece ? -errno : -ENOMEM;
	*size = (uint64_t)st.st_size;
	if (*size > DIFFTEXT_SIZE_MAX)
		return 0;
	for (off_t at = 0; n > 0; at += n) {
		n = fs_read_at(fd, piece, PIECE, at);
		if (n > 0 && memchr(piece, 0, (size_t)n))
			return 0;
	}
	return n < 0 ? (int)n : 1;
}

static void show_lines(FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, in)) > 0) {
		if (line[n - 1] == '\n')
			n--;
		report_line(line, (size_t)n);
		putchar('\n');
	}
	free(line);
}

/* diff(1) with OLD and NEW as descriptors 3 and 4, its output to OUT. */
static int spawn(int old, int new, int out, const char *const argv[], pid_t *pid)
{
	static const char *const env[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
	posix_spawn_file_actions_t todo;
	posix_spawnattr_t attr;
	sigset_t normal;
	int r;

	sigemptyset(&normal);
	sigaddset(&normal, SIGPIPE);
	posix_spawn_file_actions_init(&todo);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &normal);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&todo, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&todo, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&todo, old, OLD_FD);
	posix_spawn_file_actions_adddup2(&todo, new, NEW_FD);
	r = posix_spawnp(pid, argv[0], &todo, &attr, (char *const *)argv, (char *const *)env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&todo);
	return -r;
}

static int run_diff(int old, int new, const char *const argv[], struct err *err)
{
	CLEANUP_FD int safe_old = fcntl(old, F_DUPFD_CLOEXEC, SAFE_FD);
	CLEANUP_FD int safe_new = fcntl(new, F_DUPFD_CLOEXEC, SAFE_FD);
	int ends[2] = {-1, -1}, out, status = 0, r;
	FILE *in = NULL;
	pid_t pid = -1;

	if (safe_old < 0 || safe_new < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "diff");
	out = fcntl(ends[1], F_DUPFD_CLOEXEC, SAFE_FD);
	r = out < 0 ? -errno : spawn(safe_old, safe_new, out, argv, &pid);
	fd_close(&ends[1]);
	fd_close(&out);
	if (r == 0)
		in = fdopen(ends[0], "r");
	if (in) {
		show_lines(in);
		fclose(in);
	} else {
		fd_close(&ends[0]);
	}
	if (r < 0)
		return err_sys(err, -r, "diff(1)");
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ||
		WEXITSTATUS(status) >= DIFF_TROUBLE)
		return err_set(err, EIO, "diff(1) failed");
	return 0;
}

void difftext_sizes(const char *old_name, uint64_t old, const char *new_name, uint64_t new)
{
	char a[REPORT_TEXT], b[REPORT_TEXT];

	report_size(old, a);
	report_size(new, b);
	fputs("  no text that is shown: ", stdout);
	report_line(old_name, strlen(old_name));
	printf(" has %s, ", a);
	report_line(new_name, strlen(new_name));
	printf(" has %s\n", b);
}

int difftext_contents(int old, const char *old_name, int new, const char *new_name, struct err *err)
{
	char old_label[1024], new_label[1024];
	uint64_t old_size = 0, new_size = 0;
	int a = is_text(old, &old_size), b = is_text(new, &new_size);
	const char *const argv[] = {"diff", "--unified", "--text", "--label", old_label, "--label",
		new_label, "/dev/fd/3", "/dev/fd/4", NULL};

	if (a < 0 || b < 0)
		return err_sys(err, a < 0 ? -a : -b, "contents to compare");
	if (!a || !b) {
		difftext_sizes(old_name, old_size, new_name, new_size);
		return 0;
	}
	str_printable(old_label, sizeof(old_label), old_name, strlen(old_name));
	str_printable(new_label, sizeof(new_label), new_name, strlen(new_name));
	fflush(stdout);
	return run_diff(old, new, argv, err);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* State directories for tests; see statedir.h. What goes wrong here ends the test program. */
#include "statedir.h"

#include "check.h"
#include "fsutil.h"
#include "log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct statedir *current; /* the log has no argument */

static void take_line(enum log_level level, const struct log_subject *about, const char *text)
{
	size_t used = strlen(current->log);

	(void)about;
	if (level > LOG_LEVEL_WARN)
		return;
	current->lines++;
	snprintf(current->log + used, sizeof(current->log) - used, "%s\n", text);
}

void statedir_init(struct statedir *s)
{
	temp_init(&s->temp);
	CHECK(mkdir(temp_path(&s->temp, "sm"), 0700) == 0);
	CHECK(mkdir(temp_path(&s->temp, "sm.bak"), 0700) == 0);
	s->lines = 0;
	*s->log = 0;
	current = s;
	log_to_function(take_line);
}

void statedir_done(struct statedir *s)
{
	log_to_function(NULL);
	temp_done(&s->temp);
}

const char *statedir_path(struct statedir *s, const char *name)
{
	CHECK(snprintf(s->path, sizeof(s->path), "%s/%s", s->temp.folder, name) <
		(int)sizeof(s->path));
	return s->path;
}

void statedir_put_bytes(struct statedir *s, const char *name, const void *bytes, size_t len)
{
	FILE *f = fopen(statedir_path(s, name), "we");

	CHECK(f && fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

void statedir_put(struct statedir *s, const char *name, const char *content)
{
	statedir_put_bytes(s, name, content, strlen(content));
}

void statedir_age(struct statedir *s, const char *name, long mtime)
{
	const struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};

	CHECK(utimensat(AT_FDCWD, statedir_path(s, name), times, AT_SYMLINK_NOFOLLOW) == 0);
}

bool statedir_has(struct statedir *s, const char *name)
{
	struct stat st;

	return lstat(statedir_path(s, name), &st) == 0;
}

const char *statedir_text(struct statedir *s, const char *name)
{
	char *text;
	size_t len;

	*s->text = 0;
	if (fs_read(statedir_path(s, name), sizeof(s->text) - 1, &text, &len, NULL) < 0)
		return s->text;
	memcpy(s->text, text, len + 1);
	free(text);
	return s->text;
}

const char *statedir_names(struct statedir *s, const char *folder)
{
	struct dirent **list;
	int count = scandir(statedir_path(s, folder), &list, NULL, alphasort);
	size_t used = 0;

	CHECK(count >= 0);
	*s->text = 0;
	for (int i = 0; i < count; i++) {
		const char *name = list[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			used += (size_t)snprintf(s->text + used, sizeof(s->text) - used, "%s%s",
				used ? " " : "", name);
		free(list[i]);
	}
	free(list);
	return s->text;
}

void statedir_forget_log(struct statedir *s)
{
	s->lines = 0;
	*s->log = 0;
}

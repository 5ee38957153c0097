/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See confkit.h. */
#include "confkit.h"

#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *confkit_file(struct confkit *k, const char *name, const char *content, unsigned mode)
{
	const char *path = temp_file(&k->temp, name, content);

	CHECK(chmod(path, mode) == 0);
	return path;
}

void confkit_init(struct confkit *k)
{
	*k = (struct confkit){0};
	temp_init(&k->temp);
	confkit_file(k, "community", "private\n", 0600);
	confkit_file(k, "auth", "authpass123\n", 0600);
	confkit_file(k, "priv", "privpass123\n", 0600);
	confkit_file(k, "hmac", "0123456789abcdef0123456789abcdef\n", 0600);
	confkit_file(k, "key",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n"
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
		"-----END OPENSSH PRIVATE KEY-----\n",
		0600);
}

static void forget(struct confkit *k)
{
	config_free(&k->config);
	conf_done(&k->files);
}

void confkit_done(struct confkit *k)
{
	forget(k);
	temp_done(&k->temp);
}

/* LINE with the folder's name as FOLDER, and without it at the beginning. */
static size_t add_line(struct confkit *k, size_t len, const char *line)
{
	const char *folder = k->temp.folder, *at;
	size_t skip = strlen(folder);

	if (strncmp(line, folder, skip) == 0)
		line += skip + 1;
	for (; (at = strstr(line, folder)); line = at + skip)
		len += (size_t)snprintf(k->faults + len, sizeof(k->faults) - len, "%.*sFOLDER",
			(int)(at - line), line);
	return len + (size_t)snprintf(k->faults + len, sizeof(k->faults) - len, "%s\n", line);
}

static void add_faults(struct confkit *k, const struct conf *files)
{
	size_t len = 0;

	*k->faults = 0;
	for (size_t i = 0; i < files->fault_count; i++) {
		len = add_line(k, len, files->faults[i]);
		CHECK(len < sizeof(k->faults));
	}
}

int confkit_read(struct confkit *k, const char *text)
{
	FILE *f;
	int r;

	forget(k);
	f = fopen(temp_path(&k->temp, "stonith.conf"), "we");
	CHECK(f);
	for (; *text; text++) {
		if (*text == '@')
			fputs(k->temp.folder, f);
		else
			fputc(*text, f);
	}
	CHECK(fclose(f) == 0);
	r = config_read(temp_path(&k->temp, "stonith.conf"), &k->config, &k->files);
	add_faults(k, &k->files);
	return r;
}

void confkit_warn(struct confkit *k)
{
	struct conf warnings;

	config_warn(&k->files, &k->config, &warnings);
	add_faults(k, &warnings);
	conf_done(&warnings);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scans for tests; see scans.h. */
#include "scans.h"

#include "check.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char head[] =
	"confsync { self = \"n1\" state-directory = \"@/state\" }\n"
	"node \"n1\" { address = \"192.0.2.1\" host-key = \"ssh-ed25519 "
	"AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\" }\n"
	"node \"n2\" { address = \"192.0.2.2\" host-key = \"ssh-ed25519 "
	"AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\" }\n";

void scans_init(struct scans *s)
{
	char real[PATH_MAX];

	*s = (struct scans){0};
	temp_init(&s->temp);
	CHECK(realpath(s->temp.folder, real));
	CHECK(chmod(real, 0755) == 0);
	CHECK(snprintf(s->root, sizeof(s->root), "%s/files", real) < (int)sizeof(s->root));
	CHECK(mkdir(s->root, 0755) == 0 && chmod(s->root, 0755) == 0);
	snprintf(s->index, sizeof(s->index), "%s", temp_path(&s->temp, "index"));
}

void scans_done(struct scans *s)
{
	scan_done(&s->scan);
	config_free(&s->config);
	temp_done(&s->temp);
}

static void put(FILE *f, const char *text, const char *root)
{
	for (; *text; text++)
		CHECK(*text == '@' ? fputs(root, f) >= 0 : fputc(*text, f) != EOF);
}

void scans_config(struct scans *s, const char *keys, const char *more)
{
	const char *path = temp_path(&s->temp, "confsync.conf");
	FILE *f = fopen(path, "we");
	char beside[sizeof(s->root)];
	struct conf files;

	CHECK(f);
	snprintf(beside, sizeof(beside), "%s", s->root);
	*strrchr(beside, '/') = 0;
	put(f, head, beside);
	put(f, "set \"t\" {", s->root);
	put(f, keys, s->root);
	put(f, "}\n", s->root);
	put(f, more, s->root);
	CHECK(fclose(f) == 0);
	config_free(&s->config);
	if (config_read(path, &s->config, &files) < 0) {
		for (size_t i = 0; i < files.fault_count; i++)
			fprintf(stderr, "%s\n", files.faults[i]);
		abort();
	}
	conf_done(&files);
}

int scans_run(struct scans *s, enum scan_depth depth)
{
	scan_done(&s->scan);
	return scan_set(
		&s->config, config_set(&s->config, "t"), s->index, depth, &s->scan, &s->err);
}

const char *scans_path(struct scans *s, const char *name)
{
	CHECK(snprintf(s->path, sizeof(s->path), "%s%s%s", s->root, *name ? "/" : "", name) <
		(int)sizeof(s->path));
	return s->path;
}

static void make_above(struct scans *s, const char *name)
{
	scans_path(s, name);
	for (char *slash = s->path + strlen(s->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		mkdir(s->path, 0755);
		*slash = '/';
	}
}

void scans_write(struct scans *s, const char *name, const char *content)
{
	FILE *f;

	make_above(s, name);
	f = fopen(s->path, "we");
	CHECK(f && fputs(content, f) >= 0 && fclose(f) == 0);
}

void scans_mkdir(struct scans *s, const char *name)
{
	make_above(s, name);
	CHECK(mkdir(s->path, 0755) == 0);
}

void scans_shell(struct scans *s, const char *fmt, ...)
{
	char command[PATH_MAX], whole[PATH_MAX + TEMP_PATH_MAX + 16];
	va_list ap;

	va_start(ap, fmt);
	CHECK(vsnprintf(command, sizeof(command), fmt, ap) < (int)sizeof(command));
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd %s && %s", s->root, command);
	/* Only what the test itself has written is run. */
	CHECK(system(whole) == 0); /* NOLINT */
}

const struct entry *scans_entry(struct scans *s, const char *name)
{
	return manifest_find(&s->scan.files, scans_path(s, name));
}

bool scans_fault(const struct scans *s, const char *text)
{
	for (size_t i = 0; i < SCAN_FAULTS_MAX && i < s->scan.fault_count; i++)
		if (s->scan.faults[i] && strstr(s->scan.faults[i], text))
			return true;
	return false;
}

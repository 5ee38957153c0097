/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See confkit.h. */
#include "confkit.h"

#include "check.h"
#include "conftext.h"

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

int confkit_read(struct confkit *k, const char *text)
{
	int r;

	forget(k);
	r = config_read(conftext_write(&k->temp, "stonith.conf", text), &k->config, &k->files);
	conftext_faults(&k->temp, &k->files, k->faults, sizeof(k->faults));
	return r;
}

void confkit_warn(struct confkit *k)
{
	struct conf warnings;

	config_warn(&k->files, &k->config, &warnings);
	conftext_faults(&k->temp, &warnings, k->faults, sizeof(k->faults));
	conf_done(&warnings);
}

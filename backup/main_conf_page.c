/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/backup.conf.5 of its template and the tables of keys, so
 * that neither can say what the other does not; see key_page.h.
 */
#include "config.h"
#include "key_page.h"

static int read_config(const char *path, struct conf *ret)
{
	struct config config;
	int r = config_read(path, &config, ret);

	config_free(&config);
	return r;
}

int main(int argc, char **argv)
{
	const struct key_page page = {
		.kinds = config_kinds,
		.kind_count = config_kind_count,
		.read = read_config,
	};

	return key_page_main(&page, argc, argv);
}

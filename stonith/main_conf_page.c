/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/stonith.conf.5 of its template and the tables of keys and
 * profiles, so that neither can say what the other does not; see key_page.h. A line "@PROFILES@" of
 * the template becomes entries, too.
 */
#include "config.h"
#include "key_page.h"

#include <stdio.h>
#include <string.h>

static void print_key_form(const struct profile *p)
{
	static const char *const forms[] = {"", "N", "N.N", "N.N.N"};

	printf("Outlets are\n.Ql %s %s\n", forms[p->key_parts], p->key_default ? ";" : ".");
	if (p->key_default)
		printf(".Ql %s\nmay be left out in front.\n", p->key_default);
}

static void print_profiles(void)
{
	for (size_t i = 0; i < profile_count; i++) {
		const struct profile *p = &profile_table[i];

		printf(".It Cm %s\n", p->name);
		key_page_text(p->about);
		fputs(".br\n", stdout);
		print_key_form(p);
		fputs("sysObjectID", stdout);
		for (size_t n = 0; n < PROFILE_SYSTEMS && p->systems[n]; n++)
			printf("%s\n.Ql %s", n ? " ," : "", p->systems[n]);
		fputs(" .\n", stdout);
	}
}

static bool print_line(const char *line)
{
	if (strcmp(line, "@PROFILES@\n") != 0)
		return false;
	print_profiles();
	return true;
}

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
		.line = print_line,
		.read = read_config,
	};

	return key_page_main(&page, argc, argv);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/stonith.conf.5 of its template and the tables of keys and
 * profiles, so that neither can say what the other does not.
 *
 *	stonith_conf_page TEMPLATE       the page: "@KEYS SECTION@" and "@PROFILES@" become entries
 *	stonith_conf_page                a line "SECTION KEY" for each key, for tests
 *	stonith_conf_page --check FILE   its faults on standard error, for tests
 */
#include "config.h"
#include "key_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_ROOM = 1024 };

static void print_keys(const char *section)
{
	for (size_t i = 0; i < config_kind_count; i++) {
		const struct key_set *keys = config_kinds[i].keys;

		for (size_t n = 0; strcmp(config_kinds[i].name, section) == 0 && n < keys->count;
			n++)
			key_page_entry(&keys->keys[n]);
	}
}

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

static void list_keys(void)
{
	for (size_t i = 0; i < config_kind_count; i++) {
		for (size_t n = 0; n < config_kinds[i].keys->count; n++)
			printf("%s %s\n", config_kinds[i].name, config_kinds[i].keys->keys[n].name);
	}
}

static int check(const char *path)
{
	struct config config;
	struct conf files;
	int r = config_read(path, &config, &files);

	for (size_t i = 0; i < files.fault_count; i++)
		fprintf(stderr, "%s\n", files.faults[i]);
	conf_done(&files);
	config_free(&config);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_page(const char *path)
{
	char line[LINE_ROOM], section[32];
	FILE *in = fopen(path, "re");

	if (!in) {
		perror(path);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "@KEYS %31[a-z]@", section) == 1)
			print_keys(section);
		else if (strcmp(line, "@PROFILES@\n") == 0)
			print_profiles();
		else
			fputs(line, stdout);
	}
	fclose(in);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check(argv[2]);
	if (argc > 1)
		return print_page(argv[1]);
	list_keys();
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

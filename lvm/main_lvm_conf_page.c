/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/lvm_tools.conf.5 of its template and the table of keys, so
 * that neither can say what the other does not.
 *
 *	lvm_conf_page TEMPLATE       the page: "@KEYS@" becomes entries of a list
 *	lvm_conf_page                a line "tools KEY" for each key, for tests
 *	lvm_conf_page --check FILE   its faults on standard error, for tests
 */
#include "key_page.h"
#include "toolsconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_ROOM = 1024 };

static int check(const char *path)
{
	struct toolsconf conf;
	struct toolsconf_faults faults = {0};
	struct err err = {0};
	int r = toolsconf_read(path, &conf, &faults, &err);

	for (size_t i = 0; i < faults.count; i++)
		fprintf(stderr, "%s\n", faults.lines[i]);
	if (r < 0 && faults.count == 0)
		fprintf(stderr, "%s\n", err.text);
	toolsconf_forget(&faults);
	toolsconf_free(&conf);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_page(const char *path)
{
	char line[LINE_ROOM];
	FILE *in = fopen(path, "re");

	if (!in) {
		perror(path);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, "@KEYS@\n") != 0) {
			fputs(line, stdout);
			continue;
		}
		for (size_t i = 0; i < toolsconf_keys.count; i++)
			key_page_entry(&toolsconf_keys.keys[i]);
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
	for (size_t i = 0; i < toolsconf_keys.count; i++)
		printf("tools %s\n", toolsconf_keys.keys[i].name);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

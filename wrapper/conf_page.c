/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/xnbd.conf.5 of its template and the tables of keys, so
 *that neither can say what the other does not.
 *
 *	conf_page TEMPLATE    the page: a line "@KEYS SECTION@" becomes entries of a list
 *	conf_page             a line "SECTION KEY" for each key, for tests
 */
#include "config.h"
#include "key_page.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { LINE_ROOM = 1024 };

static const struct part {
	const char *section;
	const struct key_set *keys;
	unsigned where;
} parts[] = {
	{"wrapper", &wrapper_keys, WRAPPER_KEY},
	{"defaults", &export_keys, EXPORT_KEY_DEFAULTS},
	{"export", &export_keys, EXPORT_KEY_SECTION},
};

/* Which exports have it. */
static void print_modes(const struct key *k)
{
	bool all = true;

	for (int i = 0; i < EXPORT_KINDS; i++)
		all = all && k->where & 1U << i;
	if (k->where & EXPORT_KEY_SECTION && !all) {
		fputs("Of mode", stdout);
		for (int i = 0, n = 0; i < EXPORT_KINDS; i++) {
			if (k->where & 1U << i)
				printf("%s\n.Cm %s", n++ ? "\nand" : "",
					export_config_mode((enum export_kind)i));
		}
		fputs("\nonly.\n", stdout);
	}
}

static void print_key(const struct part *p, const struct key *k)
{
	key_page_entry(k);
	if (p->keys == &export_keys)
		print_modes(k);
	if (p->keys == &export_keys && k->where & EXPORT_KEY_LIVE)
		fputs("Can be changed while clients are connected.\n", stdout);
	else if (p->keys == &export_keys)
		return;
	else if (!(k->where & WRAPPER_KEY_LIVE))
		fputs("A change takes effect at the next start.\n", stdout);
	else if (k->where & WRAPPER_KEY_SERVERS)
		fputs("A change concerns servers that are started after it.\n", stdout);
}

/* Of defaults the names are enough. */
static void print_keys(const char *section)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct part *p = &parts[i];

		for (size_t n = 0; strcmp(p->section, section) == 0 && n < p->keys->count; n++) {
			const struct key *k = &p->keys->keys[n];

			if (!(k->where & p->where))
				continue;
			if (p->where == EXPORT_KEY_DEFAULTS)
				printf(".It Cm %s\n", k->name);
			else
				print_key(p, k);
		}
	}
}

static void list_keys(void)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t n = 0; n < parts[i].keys->count; n++) {
			if (parts[i].keys->keys[n].where & parts[i].where)
				printf("%s %s\n", parts[i].section, parts[i].keys->keys[n].name);
		}
	}
}

int main(int argc, char **argv)
{
	char line[LINE_ROOM], section[32];
	FILE *in = argc > 1 ? fopen(argv[1], "re") : NULL;

	if (argc > 1 && !in) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	if (!in)
		list_keys();
	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "@KEYS %31[a-z]@", section) == 1)
			print_keys(section);
		else
			fputs(line, stdout);
	}
	if (in)
		fclose(in);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

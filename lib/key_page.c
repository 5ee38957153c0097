/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manual pages from rows of tables; see key_page.h. Nothing here is for a running server: there is
 * one page in a process, and what fails ends it.
 */
#include "key_page.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_ROOM = 1024 };

void key_page_text(const char *text)
{
	char last = 0;

	for (; *text; last = *text++) {
		if (last == '.' && *text == ' ')
			putchar('\n');
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

static void print_choices(const struct key *k)
{
	for (int i = 0; k->choices[i]; i++)
		printf("%s%s%s%s", i ? " | " : "Cm ", strchr(k->choices[i], ' ') ? "\"" : "",
			k->choices[i], strchr(k->choices[i], ' ') ? "\"" : "");
}

static void print_value(const struct key *k)
{
	static const char *const names[] = {
		[KEY_TEXT] = "Ar text",
		[KEY_PATH] = "Ar path",
		[KEY_FLAG] = "Cm true | false",
		[KEY_NUMBER] = "Ar number",
		[KEY_SIZE] = "Ar size",
		[KEY_TEXTS] = "Brq Ar text , ...",
		[KEY_PEERS] = "Brq Ar peer , ...",
	};

	if (k->type == KEY_CHOICE)
		print_choices(k);
	else
		fputs(names[k->type], stdout);
}

/* In the largest unit that divides it. */
static void print_number(const struct key *k, uint64_t n)
{
	static const char units[] = "KMGT";
	size_t unit = 0;

	while (k->type == KEY_SIZE && n && n % 1024 == 0 && units[unit]) {
		n /= 1024;
		unit++;
	}
	printf("%llu%.*s", (unsigned long long)n, unit ? 1 : 0, units + (unit ? unit - 1 : 0));
}

static void print_range(const struct key *k)
{
	if (k->type != KEY_NUMBER && k->type != KEY_SIZE)
		return;
	fputs("From ", stdout);
	print_number(k, k->min);
	fputs(" to ", stdout);
	print_number(k, k->max);
	fputs(".\n", stdout);
}

void key_page_entry(const struct key *k)
{
	printf(".It Cm %s No = ", k->name);
	print_value(k);
	putchar('\n');
	key_page_text(k->help);
	print_range(k);
}

/* Those of SECTION, NULL = of all, as names. */
static void walk(const struct key_page *p, const char *section)
{
	for (size_t i = 0; i < p->kind_count; i++) {
		const struct conf_kind *kind = &p->kinds[i];

		for (size_t n = 0; n < kind->keys->count; n++) {
			const struct key *k = &kind->keys->keys[n];

			if (!(k->where & kind->where))
				continue;
			if (!section)
				printf("%s %s\n", kind->name, k->name);
			else if (strcmp(section, kind->name) == 0 && p->entry)
				p->entry(kind, k);
			else if (strcmp(section, kind->name) == 0)
				key_page_entry(k);
		}
	}
}

static int check(const struct key_page *p, const char *path)
{
	struct conf files;
	int r = p->read(path, &files);

	for (size_t i = 0; i < files.fault_count; i++)
		fprintf(stderr, "%s\n", files.faults[i]);
	conf_done(&files);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_page(const struct key_page *p, const char *path)
{
	char line[LINE_ROOM], section[32];
	FILE *in = fopen(path, "re");

	if (!in) {
		perror(path);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "@KEYS %31[a-z]@", section) == 1)
			walk(p, section);
		else if (!p->line || !p->line(line))
			fputs(line, stdout);
	}
	fclose(in);
	return EXIT_SUCCESS;
}

int key_page_main(const struct key_page *p, int argc, char **argv)
{
	int status = EXIT_SUCCESS;

	if (p->read && argc == 3 && strcmp(argv[1], "--check") == 0)
		return check(p, argv[2]);
	if (argc > 1)
		status = print_page(p, argv[1]);
	else
		walk(p, NULL);
	return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}

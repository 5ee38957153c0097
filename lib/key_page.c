/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of manual pages from rows of tables; see key_page.h. Nothing here is for a running
 * server. */
#include "key_page.h"

#include <string.h>

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

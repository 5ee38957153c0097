/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs when the tree is built: makes man/xnbd.conf.5 of its template and the tables of keys, so
 * that neither can say what the other does not; see key_page.h.
 */
#include "config.h"
#include "key_page.h"
#include "util.h"

#include <stdio.h>

static const struct conf_kind kinds[] = {
	{"wrapper", false, &wrapper_keys, WRAPPER_KEY},
	{"defaults", false, &export_keys, EXPORT_KEY_DEFAULTS},
	{"export", true, &export_keys, EXPORT_KEY_SECTION},
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

/* Of defaults the names are enough. */
static void print_key(const struct conf_kind *kind, const struct key *k)
{
	if (kind->where == EXPORT_KEY_DEFAULTS) {
		printf(".It Cm %s\n", k->name);
		return;
	}
	key_page_entry(k);
	if (kind->keys == &export_keys)
		print_modes(k);
	if (kind->keys == &export_keys && k->where & EXPORT_KEY_LIVE)
		fputs("Can be changed while clients are connected.\n", stdout);
	else if (kind->keys == &export_keys)
		return;
	else if (!(k->where & WRAPPER_KEY_LIVE))
		fputs("A change takes effect at the next start.\n", stdout);
	else if (k->where & WRAPPER_KEY_SERVERS)
		fputs("A change concerns servers that are started after it.\n", stdout);
}

int main(int argc, char **argv)
{
	const struct key_page page = {
		.kinds = kinds,
		.kind_count = ARRAY_LEN(kinds),
		.entry = print_key,
	};

	return key_page_main(&page, argc, argv);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files: what is cut into statements is understood by libconfuse, each one, whatever
 * else is wrong, and once more without the wrong parts the same comes out. Includes are not opened.
 */
#include "fuzz.h"

#include "conf_parse.h"
#include "key.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

struct thing {
	const char *text, *path;
	bool flag;
	uint64_t size;
	struct key_texts texts;
	struct peers peers;
};

#define AT(field) offsetof(struct thing, field)

static const struct key keys[] = {
	{"text", KEY_TEXT, AT(text), 0, 100, 0, NULL, 3, false, ""},
	{"path", KEY_PATH, AT(path), 1, 100, 0, NULL, 1, false, ""},
	{"flag", KEY_FLAG, AT(flag), 0, 0, 0, NULL, 3, false, ""},
	{"size", KEY_SIZE, AT(size), 1, 1 << 20, 0, NULL, 2, false, ""},
	{"texts", KEY_TEXTS, AT(texts), 0, 100, 0, NULL, 3, false, ""},
	{"peers", KEY_PEERS, AT(peers), 0, 0, 0, NULL, 3, false, ""},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};
static const struct conf_kind kinds[] = {{"export", true, &set, 1}, {"wrapper", false, &set, 2}};

struct reading {
	struct conf conf;
	size_t sections, faults;
	unsigned lines; /* of the text */
};

static void take_statement(void *ctx, const struct conf_statement *s)
{
	struct reading *r = ctx;
	char *pattern;

	REQUIRE(s->line >= 1 && s->line <= r->lines);
	if (!s->kind) {
		pattern = conf_parse_include(s);
		REQUIRE(pattern);
		free(pattern);
		return;
	}
	conf_parse_section(&r->conf, "fuzz", s);
	r->sections++;
	REQUIRE(r->conf.fault_count == 0 && r->conf.count == r->sections);
	for (size_t i = 0; i < set.count; i++)
		REQUIRE(!s->lines[i] ==
			!conf_value(&r->conf.sections[r->sections - 1], keys[i].name));
}

static void take_fault(void *ctx, unsigned line, const char *text)
{
	struct reading *r = ctx;

	REQUIRE(line >= 1 && line <= r->lines && *text);
	r->faults++;
}

static const struct conf_text_ops ops = {take_statement, take_fault};

static void check_sections(struct reading *r)
{
	for (size_t i = 0; i < r->conf.count; i++) {
		struct thing thing;

		key_init_all(&set, &thing);
		conf_apply(&r->conf, &r->conf.sections[i], &thing);
		for (size_t k = 0; k < set.count; k++)
			REQUIRE(!key_is_given(&keys[k], &thing) ||
				key_check(&keys[k], &thing, NULL) == 0);
		key_free_all(&set, &thing);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct reading r = {.lines = 1}, again;

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = 0;
	size = strlen(text); /* a zero byte is refused before */
	for (size_t i = 0; i < size; i++)
		r.lines += text[i] == '\n';
	again = r;
	conf_text_split(text, size, kinds, ARRAY_LEN(kinds), &ops, &r);
	check_sections(&r);
	conf_done(&r.conf);
	/* An include was changed to a key, which it stays a fault to be. */
	if (!strstr(text, "include")) {
		conf_text_split(text, size, kinds, ARRAY_LEN(kinds), &ops, &again);
		REQUIRE(again.faults == 0 && again.sections == r.sections);
		conf_done(&again.conf);
	}
	free(text);
	return 0;
}

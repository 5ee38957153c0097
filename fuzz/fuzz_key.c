/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of keys. The first byte chooses the key, the rest are its texts, one a line: what is
 * accepted prints as texts that make the same value, what is refused changes nothing.
 */
#include "fuzz.h"

#include "key.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 64 };

struct thing {
	const char *text, *path;
	bool flag;
	uint64_t number, size;
	int choice;
	struct key_texts texts;
	struct peers peers;
};

#define AT(field) offsetof(struct thing, field)

static const char *const words[] = {"no", "writer", "writer, others readonly", NULL};

static const struct key keys[] = {
	{"text", KEY_TEXT, AT(text), 0, 100, 0, NULL, 1, false, ""},
	{"path", KEY_PATH, AT(path), 1, 100, 0, NULL, 1, false, ""},
	{"flag", KEY_FLAG, AT(flag), 0, 0, 1, NULL, 1, false, ""},
	{"number", KEY_NUMBER, AT(number), 5, 5000, 7, NULL, 1, false, ""},
	{"size", KEY_SIZE, AT(size), 0, UINT64_MAX, 0, NULL, 1, false, ""},
	{"choice", KEY_CHOICE, AT(choice), 0, 0, 0, words, 1, false, ""},
	{"texts", KEY_TEXTS, AT(texts), 1, 100, 0, NULL, 1, false, ""},
	{"peers", KEY_PEERS, AT(peers), 0, 0, 0, NULL, 1, false, ""},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};

static void check_accepted(const struct key *k, const struct thing *thing)
{
	struct key_texts texts;
	struct thing again, copy;

	key_init_all(&set, &again);
	REQUIRE(key_get(k, thing, &texts) == 0);
	REQUIRE(key_set(k, &again, (const char *const *)texts.items, texts.count, NULL) == 0);
	REQUIRE(key_equal(k, thing, &again));
	REQUIRE(key_copy_all(&set, &copy, &again) == 0 && !key_difference(&set, &copy, &again));
	key_free_texts(&texts);
	key_free_all(&set, &again);
	key_free_all(&set, &copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct key *k = &keys[size ? data[0] % ARRAY_LEN(keys) : 0];
	char *text = malloc(size + 1), *rest = text;
	const char *texts[TEXTS_MAX];
	struct err err = {0};
	struct thing thing;
	size_t count = 0;
	int r;

	REQUIRE(text);
	memcpy(text, data + (size > 0), size - (size > 0));
	text[size - (size > 0)] = 0;
	while (rest && count < TEXTS_MAX)
		texts[count++] = strsep(&rest, "\n");
	key_init_all(&set, &thing);
	r = key_set(k, &thing, texts, count, &err);
	REQUIRE(r == 0 || ((r == -EINVAL || r == -E2BIG) && err.code == -r && err.text[0]));
	REQUIRE(r == 0 || !key_is_given(k, &thing));
	if (r == 0)
		check_accepted(k, &thing);
	key_free_all(&set, &thing);
	free(text);
	return 0;
}

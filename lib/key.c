/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of keys: from text, to text, copied, compared. Everything about a type stands in one row
 * of `types`; nothing else in here asks for a key's type.
 */
#include "key.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { LIST_MAX = 1024 };

static char **text_at(const struct key *k, const void *object)
{
	return (char **)((uintptr_t)object + k->offset);
}

static uint64_t *number_at(const struct key *k, const void *object)
{
	return (uint64_t *)((uintptr_t)object + k->offset);
}

static bool *flag_at(const struct key *k, const void *object)
{
	return (bool *)((uintptr_t)object + k->offset);
}

static int *choice_at(const struct key *k, const void *object)
{
	return (int *)((uintptr_t)object + k->offset);
}

static struct key_texts *texts_at(const struct key *k, const void *object)
{
	return (struct key_texts *)((uintptr_t)object + k->offset);
}

static struct peers *peers_at(const struct key *k, const void *object)
{
	return (struct peers *)((uintptr_t)object + k->offset);
}

/* Lists of texts as such. */

void key_free_texts(struct key_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	*texts = (struct key_texts){0};
}

static bool add_text(struct key_texts *t, const char *text)
{
	char **items = realloc(t->items, (t->count + 1) * sizeof(*items));

	if (!items)
		return false;
	t->items = items;
	items[t->count] = strdup(text);
	return items[t->count] && ++t->count;
}

/* Texts and paths. */

static int check_text(const struct key *k, const char *text, struct err *err)
{
	size_t len = strlen(text);

	if (k->max && len > k->max)
		return err_set(err, EINVAL, "%zu bytes: at most %llu are possible", len,
			(unsigned long long)k->max);
	if (len < k->min)
		return err_set(err, EINVAL, "must not be empty");
	if (!str_is_utf8(text, len))
		return err_set(err, EINVAL, "is not valid UTF-8");
	if (k->type == KEY_PATH && *text != '/')
		return err_set(err, EINVAL, "\"%.200s\": must be an absolute path", text);
	return 0;
}

static int set_text(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	int r = check_text(k, *texts, err);
	char *copy;

	(void)count;
	if (r < 0)
		return r;
	copy = strdup(*texts);
	if (!copy)
		return err_sys(err, ENOMEM, "%s", k->name);
	free(*text_at(k, object));
	*text_at(k, object) = copy;
	return 0;
}

static int copy_text(const struct key *k, void *to, const void *from)
{
	const char *text = *text_at(k, from);

	*text_at(k, to) = text ? strdup(text) : NULL;
	return text && !*text_at(k, to) ? -ENOMEM : 0;
}

static bool text_equal(const struct key *k, const void *a, const void *b)
{
	const char *x = *text_at(k, a), *y = *text_at(k, b);

	return x && y ? strcmp(x, y) == 0 : x == y;
}

static void init_text(const struct key *k, void *object)
{
	*text_at(k, object) = NULL;
}

static void free_text(const struct key *k, void *object)
{
	free(*text_at(k, object));
	*text_at(k, object) = NULL;
}

static bool text_given(const struct key *k, const void *object)
{
	return *text_at(k, object) != NULL;
}

static int get_text(const struct key *k, const void *object, struct key_texts *ret)
{
	const char *text = *text_at(k, object);

	return !text || add_text(ret, text) ? 0 : -ENOMEM;
}

/* Flags. */

static int set_flag(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	(void)count;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(*texts, words[i]) == 0) {
			*flag_at(k, object) = i % 2;
			return 0;
		}
	}
	return err_set(err, EINVAL, "\"%.100s\": must be true or false", *texts);
}

static int copy_flag(const struct key *k, void *to, const void *from)
{
	*flag_at(k, to) = *flag_at(k, from);
	return 0;
}

static bool flag_equal(const struct key *k, const void *a, const void *b)
{
	return *flag_at(k, a) == *flag_at(k, b);
}

static void init_flag(const struct key *k, void *object)
{
	*flag_at(k, object) = k->initial;
}

static bool flag_given(const struct key *k, const void *object)
{
	return *flag_at(k, object) != !!k->initial;
}

static int get_flag(const struct key *k, const void *object, struct key_texts *ret)
{
	return add_text(ret, *flag_at(k, object) ? "true" : "false") ? 0 : -ENOMEM;
}

/* Numbers and sizes. */

static int set_number(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	bool size = k->type == KEY_SIZE;
	uint64_t n;

	(void)count;
	if ((size ? str_size(*texts, k->min, k->max, &n) : str_number(*texts, k->min, k->max, &n)) <
		0)
		return err_set(err, EINVAL, "\"%.100s\": must be a %s from %llu to %llu", *texts,
			size ? "size (units K, M, G, T)" : "number", (unsigned long long)k->min,
			(unsigned long long)k->max);
	*number_at(k, object) = n;
	return 0;
}

static int copy_number(const struct key *k, void *to, const void *from)
{
	*number_at(k, to) = *number_at(k, from);
	return 0;
}

static bool number_equal(const struct key *k, const void *a, const void *b)
{
	return *number_at(k, a) == *number_at(k, b);
}

static void init_number(const struct key *k, void *object)
{
	*number_at(k, object) = k->initial;
}

static bool number_given(const struct key *k, const void *object)
{
	return *number_at(k, object) != k->initial;
}

static int get_number(const struct key *k, const void *object, struct key_texts *ret)
{
	static const char units[] = "\0KMGT";
	uint64_t n = *number_at(k, object);
	size_t unit = 0;
	char text[32];

	while (k->type == KEY_SIZE && n && n % 1024 == 0 && units[unit + 1]) {
		n /= 1024;
		unit++;
	}
	snprintf(text, sizeof(text), "%llu%.1s", (unsigned long long)n, units + unit);
	return add_text(ret, text) ? 0 : -ENOMEM;
}

/* Choices. */

/* "a", "b" or "c" */
static void list_choices(const struct key *k, char *out, size_t room)
{
	size_t len = 0;

	for (int i = 0; k->choices[i] && len < room; i++) {
		const char *between = !i ? "" : k->choices[i + 1] ? ", " : " or ";

		len += (size_t)snprintf(out + len, room - len, "%s\"%s\"", between, k->choices[i]);
	}
}

static int set_choice(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	char all[ERR_TEXT_MAX / 2] = "";

	(void)count;
	for (int i = 0; k->choices[i]; i++) {
		if (strcmp(*texts, k->choices[i]) == 0) {
			*choice_at(k, object) = i;
			return 0;
		}
	}
	list_choices(k, all, sizeof(all));
	return err_set(err, EINVAL, "\"%.100s\": must be %s", *texts, all);
}

static int copy_choice(const struct key *k, void *to, const void *from)
{
	*choice_at(k, to) = *choice_at(k, from);
	return 0;
}

static bool choice_equal(const struct key *k, const void *a, const void *b)
{
	return *choice_at(k, a) == *choice_at(k, b);
}

static void init_choice(const struct key *k, void *object)
{
	*choice_at(k, object) = (int)k->initial;
}

static bool choice_given(const struct key *k, const void *object)
{
	return *choice_at(k, object) != (int)k->initial;
}

static int get_choice(const struct key *k, const void *object, struct key_texts *ret)
{
	return add_text(ret, k->choices[*choice_at(k, object)]) ? 0 : -ENOMEM;
}

/* Lists of texts. */

static void free_texts(const struct key *k, void *object)
{
	key_free_texts(texts_at(k, object));
}

static int set_texts(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	struct key_texts list = {0};
	size_t most = k->initial ? k->initial : LIST_MAX;
	int r = count > most ? err_set(err, EINVAL, "more than %zu entries", most) : 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = check_text(k, texts[i], err);
		if (r == 0 && !add_text(&list, texts[i]))
			r = err_sys(err, ENOMEM, "%s", k->name);
	}
	if (r < 0) {
		key_free_texts(&list);
		return r;
	}
	free_texts(k, object);
	*texts_at(k, object) = list;
	return 0;
}

static bool texts_equal(const struct key *k, const void *a, const void *b)
{
	const struct key_texts *x = texts_at(k, a), *y = texts_at(k, b);

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++) {
		if (strcmp(x->items[i], y->items[i]) != 0)
			return false;
	}
	return true;
}

static void init_texts(const struct key *k, void *object)
{
	*texts_at(k, object) = (struct key_texts){0};
}

static bool texts_given(const struct key *k, const void *object)
{
	return texts_at(k, object)->count > 0;
}

static int get_texts(const struct key *k, const void *object, struct key_texts *ret)
{
	const struct key_texts *t = texts_at(k, object);

	for (size_t i = 0; i < t->count; i++) {
		if (!add_text(ret, t->items[i]))
			return -ENOMEM;
	}
	return 0;
}

static int copy_texts(const struct key *k, void *to, const void *from)
{
	*texts_at(k, to) = (struct key_texts){0};
	return get_texts(k, from, texts_at(k, to));
}

/* Lists of peers. */

static int set_peers(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	struct peers list = {0};
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = peers_add(&list, texts[i], err);
	if (r < 0) {
		peers_done(&list);
		return r;
	}
	peers_done(peers_at(k, object));
	*peers_at(k, object) = list;
	return 0;
}

static int copy_peers(const struct key *k, void *to, const void *from)
{
	return peers_copy(peers_at(k, to), peers_at(k, from));
}

static bool peers_are_equal(const struct key *k, const void *a, const void *b)
{
	return peers_equal(peers_at(k, a), peers_at(k, b));
}

static void init_peers(const struct key *k, void *object)
{
	*peers_at(k, object) = (struct peers){0};
}

static void free_peers(const struct key *k, void *object)
{
	peers_done(peers_at(k, object));
}

static bool peers_given(const struct key *k, const void *object)
{
	return peers_at(k, object)->count > 0;
}

static int get_peers(const struct key *k, const void *object, struct key_texts *ret)
{
	const struct peers *list = peers_at(k, object);
	char text[PEERS_TEXT_MAX];

	for (size_t i = 0; i < list->count; i++) {
		peers_print(&list->rules[i], text);
		if (!add_text(ret, text))
			return -ENOMEM;
	}
	return 0;
}

static const struct type {
	void (*init)(const struct key *k, void *object);
	int (*set)(const struct key *k, void *object, const char *const *texts, size_t count,
		struct err *err);
	int (*copy)(const struct key *k, void *to, const void *from);
	bool (*equal)(const struct key *k, const void *a, const void *b);
	bool (*given)(const struct key *k, const void *object);
	int (*get)(const struct key *k, const void *object, struct key_texts *ret);
	void (*done)(const struct key *k, void *object); /* NULL: holds no memory */
	bool list;
	size_t size; /* bytes of the field */
} types[] = {
	[KEY_TEXT] = {init_text, set_text, copy_text, text_equal, text_given, get_text, free_text,
		false, sizeof(char *)},
	[KEY_PATH] = {init_text, set_text, copy_text, text_equal, text_given, get_text, free_text,
		false, sizeof(char *)},
	[KEY_FLAG] = {init_flag, set_flag, copy_flag, flag_equal, flag_given, get_flag, NULL, false,
		sizeof(bool)},
	[KEY_NUMBER] = {init_number, set_number, copy_number, number_equal, number_given,
		get_number, NULL, false, sizeof(uint64_t)},
	[KEY_SIZE] = {init_number, set_number, copy_number, number_equal, number_given, get_number,
		NULL, false, sizeof(uint64_t)},
	[KEY_CHOICE] = {init_choice, set_choice, copy_choice, choice_equal, choice_given,
		get_choice, NULL, false, sizeof(int)},
	[KEY_TEXTS] = {init_texts, set_texts, copy_texts, texts_equal, texts_given, get_texts,
		free_texts, true, sizeof(struct key_texts)},
	[KEY_PEERS] = {init_peers, set_peers, copy_peers, peers_are_equal, peers_given, get_peers,
		free_peers, true, sizeof(struct peers)},
};

/* All of them. */

const struct key *key_find(const struct key_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(set->keys[i].name, name) == 0)
			return &set->keys[i];
	}
	return NULL;
}

void key_init_all(const struct key_set *set, void *object)
{
	for (size_t i = 0; i < set->count; i++)
		types[set->keys[i].type].init(&set->keys[i], object);
}

void key_free_all(const struct key_set *set, void *object)
{
	for (size_t i = 0; i < set->count; i++) {
		if (types[set->keys[i].type].done)
			types[set->keys[i].type].done(&set->keys[i], object);
	}
}

void key_clear(const struct key *k, void *object)
{
	if (types[k->type].done)
		types[k->type].done(k, object);
	types[k->type].init(k, object);
}

int key_copy_all(const struct key_set *set, void *to, const void *from)
{
	int r = 0;

	key_init_all(set, to);
	for (size_t i = 0; i < set->count && r == 0; i++) {
		if (!set->keys[i].alias)
			r = types[set->keys[i].type].copy(&set->keys[i], to, from);
	}
	if (r < 0)
		key_free_all(set, to);
	return r;
}

int key_set(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err)
{
	const struct type *t = &types[k->type];

	if (!t->list && count != 1)
		return err_set(err, EINVAL, "must be one value, not a list of %zu", count);
	return t->set(k, object, texts, count, err);
}

/* A row that keeps its value here, whatever the type. */
union any {
	char *text;
	bool flag;
	uint64_t number;
	int choice;
	struct key_texts texts;
	struct peers peers;
};

int key_check(const struct key *k, const void *object, struct err *err)
{
	union any any = {.texts = {0}};
	struct key_texts texts;
	struct key same = *k;
	int r = key_get(k, object, &texts);

	if (r < 0)
		return err_sys(err, -r, "%s", k->name);
	same.offset = 0;
	r = key_set(&same, &any, (const char *const *)texts.items, texts.count, err);
	if (types[k->type].done)
		types[k->type].done(&same, &any);
	key_free_texts(&texts);
	return r;
}

int key_copy(const struct key *k, void *to, const void *from)
{
	union any any = {.texts = {0}};
	const struct type *t = &types[k->type];
	struct key same = *k;
	int r;

	same.offset = 0;
	r = t->copy(&same, &any, (const void *)((uintptr_t)from + k->offset));
	if (t->done)
		r < 0 ? t->done(&same, &any) : t->done(k, to);
	if (r < 0)
		return r;
	memcpy((void *)((uintptr_t)to + k->offset), &any, t->size);
	return 0;
}

bool key_is_given(const struct key *k, const void *object)
{
	return types[k->type].given(k, object);
}

bool key_equal(const struct key *k, const void *a, const void *b)
{
	return types[k->type].equal(k, a, b);
}

const struct key *key_difference(const struct key_set *set, const void *a, const void *b)
{
	for (size_t i = 0; i < set->count; i++) {
		if (!key_equal(&set->keys[i], a, b))
			return &set->keys[i];
	}
	return NULL;
}

int key_get(const struct key *k, const void *object, struct key_texts *ret)
{
	int r;

	*ret = (struct key_texts){0};
	r = types[k->type].get(k, object, ret);
	if (r < 0)
		key_free_texts(ret);
	return r;
}

void key_print(const struct key *k, const void *object, FILE *out)
{
	bool plain = k->type == KEY_FLAG || k->type == KEY_NUMBER || k->type == KEY_SIZE;
	bool list = types[k->type].list;
	struct key_texts texts;

	if (key_get(k, object, &texts) < 0)
		return;
	fputs(list ? "{" : "", out);
	for (size_t i = 0; i < texts.count; i++) {
		fputs(i ? ", " : "", out);
		if (plain)
			fputs(texts.items[i], out);
		else
			key_quote(texts.items[i], out);
	}
	fputs(list ? "}" : "", out);
	key_free_texts(&texts);
}

static bool has_controls(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

/* Only in double quotes can what has no glyph be written, and there ${NAME} would be replaced. */
static void quote_with_escapes(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned)*text);
		else if (strchr("\"\\$", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

void key_quote(const char *text, FILE *out)
{
	if (has_controls(text)) {
		quote_with_escapes(text, out);
		return;
	}
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('\'', out);
}

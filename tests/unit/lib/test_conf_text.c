/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statements and faults of configuration files as text: each fault with its line and its words. */
#include "conf_text.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct key keys[] = {
	{.name = "image", .type = KEY_TEXT, .where = 1},
	{.name = "allow", .type = KEY_TEXTS, .where = 1},
	{.name = "hidden", .type = KEY_TEXT, .where = 2},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};
static const struct conf_kind kinds[] = {{"export", true, &set, 1}, {"all", false, &set, 1}};

/* What came, as lines: "2: words" for a fault, "2 export: ..." for a statement. */
struct record {
	char text[8192];
	size_t len;
};

static void put(struct record *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct record *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->len += (size_t)vsnprintf(r->text + r->len, sizeof(r->text) - r->len, fmt, ap);
	va_end(ap);
	assert_true(r->len < sizeof(r->text));
}

/* Runs of spaces and newlines become one, so that blanked text is easy to write down. */
static void put_squeezed(struct record *r, const char *text, size_t len)
{
	bool space = false;

	for (size_t i = 0; i < len; i++) {
		bool is_space = strchr(" \n\t", text[i]);

		if (!is_space || !space)
			put(r, "%c", is_space ? ' ' : text[i]);
		space = is_space;
	}
}

static void take_statement(void *ctx, const struct conf_statement *s)
{
	struct record *r = ctx;

	put(r, "%u%s ", s->line, s->torn ? " torn" : "");
	put_squeezed(r, s->text, s->len);
	for (size_t i = 0; s->kind && i < set.count; i++) {
		if (s->lines[i])
			put(r, " %s@%u", keys[i].name, s->lines[i]);
	}
	put(r, "\n");
}

static void take_fault(void *ctx, unsigned line, const char *text)
{
	put(ctx, "%u: %s\n", line, text);
}

static const struct conf_text_ops ops = {take_statement, take_fault};

static void check(const char *text, const char *want)
{
	struct record r = {.len = 0};
	size_t len = strlen(text);
	char *copy = malloc(len + 1); /* exactly as long, for the sanitizer */

	assert_non_null(copy);
	memcpy(copy, text, len + 1);
	conf_text_split(copy, len, kinds, ARRAY_LEN(kinds), &ops, &r);
	if (strcmp(r.text, want) != 0)
		fail_msg("%s\n got: %s\nwant: %s", text, r.text, want);
	free(copy);
}

static void test_statements(void **state)
{
	(void)state;
	check("", "");
	check(" \n\t\r\n", "");
	check("all { }", "1 all { }\n");
	check("export a { image = b }", "1 export a { image = b } image@1\n");
	check("export\n'a'\n{\nimage='b' allow\t= {\n'c',\nd,\n}\n}\nall{}",
		"1 export 'a' { image='b' allow = { 'c', d, } } image@4 allow@4\n9 all{}\n");
	check("all { allow = {} }", "1 all { allow = {} } allow@1\n");
	check("\ninclude(\"x\")\ninclude ( /a/b )\n", "2 include=\"x\"\n3 include = /a/b\n");
	check("export \"image\" { image = include }",
		"1 export \"image\" { image = include } image@1\n");
}

static void test_comments(void **state)
{
	(void)state;
	check("# { \"\nall { // '\n/* \n } */ image /**/ = a # b\n}",
		"2 all { image = a } image@4\n");
	check("all { image = a#b\n}", "1 all { image = a } image@1\n");
	/* A slash within a word begins none: it is a word to libconfuse too. */
	check("all { image = nbd://h//x }", "1 all { image = nbd://h//x } image@1\n");
	check("all { image = '#//' allow = \"/*\" }",
		"1 all { image = '#//' allow = \"/*\" } image@1 allow@1\n");
	check("all { }\n/* a\nb",
		"1 all { }\n2: a comment begins here and does not end; */ is missing\n");
}

static void test_quotes(void **state)
{
	(void)state;
	check("all { image = \"\\\"}\\\\\" }", "1 all { image = \"\\\"}\\\\\" } image@1\n");
	check("all { image = '\\'}\\\\' }", "1 all { image = '\\'}\\\\' } image@1\n");
	check("all { image = \"${A:-b}\\${\" allow = '${' }",
		"1 all { image = \"${A:-b}\\${\" allow = '${' } image@1 allow@1\n");
	check("all { image = \"\\1\\12\\377\\x41\\xfg\\q\" }",
		"1 all { image = \"\\1\\12\\377\\x41\\xfg\\q\" } image@1\n");
}

#define ESCAPE "a backslash and digits: must be octal, \\1 to \\377; a backslash is \\\\"
#define ZERO   "a text cannot contain a zero byte"
#define OPEN   "a text begins here and does not end on this line; a quote is missing"
#define DOLLAR "${ begins here and does not end; } is missing, or write \\${"

/* In each the rest of the file is understood. */
static const struct {
	const char *value, *want;
} bad_texts[] = {
	{"\"\\8\"", ESCAPE},
	{"\"\\400\"", ESCAPE},
	{"\"\\18\"", ESCAPE},
	{"\"\\1234\"", ESCAPE},
	{"\"\\0\"", ZERO},
	{"\"a\\000\"", ZERO},
	{"\"\\x0\"", ZERO},
	{"\"\\x00\"", ZERO},
	{"\"a", OPEN},
	{"'a", OPEN},
	{"'a\\'", OPEN},
	{"\"a\\", OPEN},
	{"\"${a\"", DOLLAR},
	{"\"${a\" # }", DOLLAR},
	{"${A}", "${NAME} is possible within double quotes only"},
	{"*", "+ and * are possible within quotes only"},
	{"+", "+ and * are possible within quotes only"},
};

static void test_bad_texts(void **state)
{
	char text[128], want[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_texts); i++) {
		snprintf(text, sizeof(text), "all {\nimage = %s\nallow = b }\ninclude(c)",
			bad_texts[i].value);
		snprintf(want, sizeof(want),
			"2: image: %s\n1 torn all { allow = b } allow@3\n4 include=c\n",
			bad_texts[i].want);
		check(text, want);
	}
}

#define LIST_OPEN  "the list is not closed; a comma or } is missing"
#define NO_VALUE   "a value is missing behind =, on this line"
#define NO_EQUAL   "= is missing behind the key"
#define NO_SECTION "a section is expected here, NAME { } or NAME \"TITLE\" { }"
#define KNOWN      "there are export \"NAME\" { }, all { }, include(\"FILE\")"

static const struct {
	const char *text, *want;
} faults[] = {
	/* keys */
	{"all {\nimag = a\nimage = b }",
		"2: imag: no such key in all; did you mean image?\n1 torn all { image = b } image@3\n"},
	{"all { hidden = a }",
		"1: hidden: no such key in all; there are image, allow\n1 torn all { }\n"},
	{"all { image = a\nimage = b }",
		"2: image: is given already, in line 1\n1 all { image = a } image@1\n"},
	{"all {\nimage a\nallow = b }",
		"2: image: " NO_EQUAL "\n1 torn all { allow = b } allow@3\n"},
	{"all {\nimage\nallow = b }", "2: image: " NO_EQUAL "\n1 torn all { allow = b } allow@3\n"},
	{"all {\nimage =\nallow = b }",
		"2: image: " NO_VALUE "\n1 torn all { allow = b } allow@3\n"},
	{"all {\nimage = = a\n}", "2: image: " NO_VALUE "\n1 torn all { }\n"},
	{"all { image = }", "1: image: " NO_VALUE "\n1 torn all { }\n"},
	{"all { image += a\n}",
		"1: image: + and * are possible within quotes only\n1 torn all { }\n"},
	{"all {\nimage {\n'a'\n}\nallow = b }",
		"2: image: " NO_EQUAL "\n1 torn all { allow = b } allow@5\n"},
	{"all {\n'image' = a\nallow = b }",
		"2: 'image': a key is expected here, KEY = VALUE\n1 torn all { allow = b } allow@3\n"},
	{"all {\n= a\n, b\n}",
		"2: =: a key is expected here, KEY = VALUE\n"
		"3: ,: a key is expected here, KEY = VALUE\n1 torn all { }\n"},
	{"all {\ninclude('a')\n}", "2: include: stands outside of sections only\n1 torn all { }\n"},
	/* lists */
	{"all {\nallow = {a b}\nimage = c }",
		"2: allow: " LIST_OPEN "\n1 torn all { image = c } image@3\n"},
	{"all {\nallow = {a\nb }\nimage = c }",
		"2: allow: " LIST_OPEN "\n1 torn all { image = c } image@4\n"},
	{"all {\nallow = {a,\nb\nimage = c }",
		"3: allow: " LIST_OPEN "\n1 torn all { image = c } image@4\n"},
	{"all {\nallow = {,}\nimage = c }",
		"2: allow: " LIST_OPEN "\n1 torn all { image = c } image@3\n"},
	{"all {\nallow = {'a\n}\nimage = c }",
		"2: allow: " OPEN "\n1 torn all { image = c } image@4\n"},
	/* sections */
	{"export {\nimage = a }\nall { }",
		"1: export: a name is missing: export \"NAME\" {\n3 all { }\n"},
	{"all 'a' { }\ninclude(b)", "1: all: must be without a name: all {\n2 include=b\n"},
	{"exprt a {\nx = y\nimage z\n}\nall { }",
		"1: exprt: no such section; " KNOWN "\n3: image: " NO_EQUAL "\n5 all { }\n"},
	{"image = a\nall { }", "1: image: stands outside of a section\n2 all { }\n"},
	{"image = {\n'a'\n}\nall { }", "1: image: stands outside of a section\n4 all { }\n"},
	{"export a b {\nimage = c\n}\nall { }", "1: export: " NO_SECTION "\n4 all { }\n"},
	{"export a\nall { }", "1: export: " NO_SECTION "\n2 all { }\n"},
	{"export", "1: export: " NO_SECTION "\n"},
	{"all { } }\nall { }", "1 all { }\n1: }: " NO_SECTION "\n2 all { }\n"},
	{"export \"a {\nimage = b\n}\nall { }", "1: export: " OPEN "\n4 all { }\n"},
	{"export \"\\9\" {\nimage = b\n}\nall { }", "1: export: " ESCAPE "\n4 all { }\n"},
	{"'all' { }\nall { }", "1: 'all': " NO_SECTION "\n2 all { }\n"},
	/* braces */
	{"export a {\nimage = b\nexport c { }",
		"1: export: this section does not end before the next one, in line 3; } is missing\n"
		"3 export c { }\n"},
	{"export a {\nimage = b\n", "1: export: this section does not end; } is missing\n"},
	{"export a {\nallow = {b, c\n",
		"2: allow: " LIST_OPEN "\n1: export: this section does not end; } is missing\n"},
	/* includes */
	{"include(a, b)\nall { }",
		"1: include: must be include(\"FILE\"), on one line\n2 all { }\n"},
	{"include()\nall { }", "1: include: must be include(\"FILE\"), on one line\n2 all { }\n"},
	{"include(/etc/*.conf)\nall { }",
		"1: include: + and * are possible within quotes only\n2 all { }\n"},
	{"include a\nall { }", "1: include: " NO_SECTION "\n2 all { }\n"},
	{"load(a)\nall { }", "1: load: " NO_SECTION "\n2 all { }\n"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		check(faults[i].text, faults[i].want);
}

/* Not one fault more than the ones there are. */
static void test_many_faults(void **state)
{
	(void)state;
	check("export a {\nimagee = a\nimage b\n}\nxport b { image = c }\nall {\nallow = {a b}\n}\n",
		"2: imagee: no such key in export; did you mean image?\n"
		"3: image: " NO_EQUAL "\n"
		"1 torn export a { }\n"
		"5: xport: no such section; " KNOWN "\n"
		"7: allow: " LIST_OPEN "\n"
		"6 torn all { }\n");
}

/* Every cut of a good file loses what is cut, or is refused; nothing is read as something else. */
static void test_cuts(void **state)
{
	static const char good[] =
		"# one\nall { allow = {'a', \"b\"} /* two */ }\nexport c { image = d\n}\n";
	static const char all[] = "2 all { allow = {'a', \"b\"} } allow@2\n";
	static const char both[] =
		"2 all { allow = {'a', \"b\"} } allow@2\n3 export c { image = d } image@3\n";

	(void)state;
	for (size_t len = 0; len <= strlen(good); len++) {
		struct record r = {.len = 0};
		char *copy = strndup(good, len);

		conf_text_split(copy, len, kinds, ARRAY_LEN(kinds), &ops, &r);
		if (!strstr(r.text, ": ") && r.len && strcmp(r.text, all) && strcmp(r.text, both))
			fail_msg("%.*s\n got: %s", (int)len, good, r.text);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statements),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_bad_texts),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_many_faults),
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

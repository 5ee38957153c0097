/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration files: what they say, includes, faults with their places, one read after another.
 */
#include "conf.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct disk {
	const char *image;
	struct key_texts allow;
	bool readonly;
	uint64_t size;
};

#define AT(field) offsetof(struct disk, field)

static const struct key keys[] = {
	{.name = "image", .type = KEY_PATH, .offset = AT(image), .where = 3},
	{.name = "allow", .type = KEY_TEXTS, .offset = AT(allow), .where = 1},
	{.name = "readonly", .type = KEY_FLAG, .offset = AT(readonly), .where = 1},
	{.name = "size", .type = KEY_SIZE, .offset = AT(size), .where = 3, .min = 1, .max = 1024},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};
static const struct conf_kind kinds[] = {{"disk", true, &set, 1}, {"all", false, &set, 2}};

static struct temp temp;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static int read_main(struct conf *c)
{
	return conf_read(temp_path(&temp, "main"), kinds, ARRAY_LEN(kinds), c);
}

static void write_file(const char *name, const char *text)
{
	temp_file(&temp, name, text);
}

static struct conf *read_well(struct conf *c)
{
	int r = read_main(c);

	if (r < 0)
		fail_msg("%s", c->faults[0]);
	assert_int_equal(r, 0);
	assert_int_equal(c->fault_count, 0);
	return c;
}

/* FOLDER/NAME of the message stands for the folder of this test. */
static void check_faults(const char *want)
{
	char got[8192] = "";
	size_t len = 0;
	struct conf c;

	assert_int_equal(read_main(&c), -EINVAL);
	for (size_t i = 0; i < c.fault_count; i++) {
		const char *line = c.faults[i], *at;

		while ((at = strstr(line, temp.folder))) {
			len += (size_t)snprintf(
				got + len, sizeof(got) - len, "%.*s@", (int)(at - line), line);
			line = at + strlen(temp.folder) + 1;
		}
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s\n", line);
		assert_true(len < sizeof(got));
	}
	conf_done(&c);
	if (strcmp(got, want) != 0)
		fail_msg("\n got: %s\nwant: %s", got, want);
}

static void test_good_file(void **state)
{
	struct disk d = {0};
	struct conf c;

	(void)state;
	write_file("main",
		"# comment\n"
		"disk \"vm1\" {\n"
		"	image = \"/srv/vm1.img\" # of today\n"
		"	allow = {\"a\", 'b', c}\n"
		"	size = 1K\n"
		"}\n"
		"disk 'r\xc3\xa4tsel/3' { allow = d readonly = yes }\n"
		"all { }\n");
	read_well(&c);
	assert_int_equal(c.count, 3);
	assert_string_equal(c.sections[0].title, "vm1");
	assert_int_equal(c.sections[0].line, 2);
	assert_string_equal(c.sections[1].title, "r\xc3\xa4tsel/3");
	assert_ptr_equal(c.sections[1].kind, &kinds[0]);
	assert_ptr_equal(c.sections[2].kind, &kinds[1]);
	assert_null(c.sections[2].title);
	assert_int_equal(conf_value(&c.sections[0], "size")->line, 5);
	assert_null(conf_value(&c.sections[0], "readonly"));
	conf_apply(&c, &c.sections[0], &d);
	assert_int_equal(c.fault_count, 0);
	assert_string_equal(d.image, "/srv/vm1.img");
	assert_int_equal(d.allow.count, 3);
	assert_string_equal(d.allow.items[2], "c");
	assert_int_equal(d.size, 1024);
	key_free_all(&set, &d);
	conf_done(&c);
	conf_done(&c);
}

/* It was given, as one that takes something back. */
static void test_empty_list(void **state)
{
	struct conf c;

	(void)state;
	write_file("main", "disk a { allow = {} }");
	read_well(&c);
	assert_non_null(conf_value(&c.sections[0], "allow"));
	assert_int_equal(conf_value(&c.sections[0], "allow")->count, 0);
	conf_done(&c);
}

static void test_texts(void **state)
{
	static const char *const want[] = {"\001\n\377", "a'b", "a\\nb\\", "x$y", "${HOME}", "def",
		"", "a b", "%s%n", "nbd://h//x"};
	struct conf c;

	(void)state;
	unsetenv("XNBD_TEST_ABSENT");
	write_file("main",
		"disk a { allow = {\"\\1\\n\\xff\", 'a\\'b', 'a\\nb\\\\', \"x$y\", '${HOME}',\n"
		"\"${XNBD_TEST_ABSENT:-def}\", '', \"a b\", '%s%n', nbd://h//x}}");
	read_well(&c);
	assert_int_equal(c.sections[0].values[0].count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(c.sections[0].values[0].texts[i], want[i]);
	conf_done(&c);
}

static void test_empty_files(void **state)
{
	struct conf c;

	(void)state;
	write_file("main", "");
	assert_int_equal(read_well(&c)->count, 0);
	conf_done(&c);
	write_file("main", "\n# nothing");
	assert_int_equal(read_well(&c)->count, 0);
	conf_done(&c);
}

/* Syntax, values, sections: each in its place, none hides another. */
static void test_all_faults(void **state)
{
	struct disk d = {0};
	struct conf c;

	(void)state;
	write_file("main",
		"disk a {\n"
		"	colour = red # comment\n"
		"	/* a comment\n"
		"	   of two lines */ readonly = perhaps\n"
		"	image = vm.img\n"
		"}\n"
		"all { image = /a\n"
		"	size 5\n"
		"}\n"
		"disk a { }\n"
		"all { }\n");
	check_faults(
		"@main:2: colour: no such key in disk; there are image, allow, readonly, size\n"
		"@main:8: size: = is missing behind the key\n"
		"@main:10: disk \"a\": is given already, at @main:1\n"
		"@main:11: all: is given already, at @main:7\n");
	assert_int_equal(read_main(&c), -EINVAL);
	assert_true(c.sections[0].torn && c.sections[1].torn && !c.sections[2].torn);
	conf_apply(&c, &c.sections[0], &d);
	assert_int_equal(c.fault_count, 6);
	assert_non_null(strstr(
		c.faults[4], "main:5: disk \"a\": image: \"vm.img\": must be an absolute path"));
	assert_non_null(strstr(
		c.faults[5], "main:4: disk \"a\": readonly: \"perhaps\": must be true or false"));
	conf_fault(&c, &c.sections[1], "image", "no");
	conf_fault(&c, &c.sections[1], "size", "no");
	assert_non_null(strstr(c.faults[6], "main:7: all: no"));
	key_free_all(&set, &d);
	conf_done(&c);
}

static void test_unreadable(void **state)
{
	char text[] = "all { }\0 ";
	FILE *f;

	(void)state;
	check_faults("@main: No such file or directory\n");
	mkdir(temp_path(&temp, "main"), 0700);
	check_faults("@main: not a regular file\n");
	rmdir(temp_path(&temp, "main"));
	f = fopen(temp_path(&temp, "main"), "we");
	fwrite(text, 1, sizeof(text), f);
	fclose(f);
	check_faults("@main: contains a zero byte; it is no text\n");
}

/* Where they stand. */
static void test_includes(void **state)
{
	static const char *const want[] = {"a", "b", "last", "c", "d"};
	char text[2 * TEMP_PATH_MAX];
	struct conf c;

	(void)state;
	mkdir(temp_path(&temp, "d[1]"), 0700);
	write_file("d[1]/b.conf", "disk b { }\ninclude(\"../last\")");
	write_file("d[1]/c.conf", "disk c { }");
	write_file("last", "disk last { }");
	snprintf(text, sizeof(text), "disk a { }\ninclude('%s')\ndisk d { }\ninclude('none?')",
		temp_path(&temp, "d\\[1]/*.conf"));
	write_file("main", text);
	read_well(&c);
	assert_int_equal(c.count, 5);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(c.sections[i].title, want[i]);
	assert_non_null(strstr(c.sections[2].file, "d[1]/../last"));
	assert_int_equal(c.files.count, 4);
	assert_string_equal(c.files.items[0], temp_path(&temp, "main"));
	assert_non_null(strstr(c.files.items[2], "/last"));
	assert_int_equal(c.patterns.count, 2);
	assert_non_null(strstr(c.patterns.items[0], "/*.conf"));
	assert_string_equal(c.patterns.items[1], temp_path(&temp, "none?"));
	conf_done(&c);
	/* From within a folder whose name looks like a pattern. */
	write_file("d[1]/all.conf", "include('[bc].conf')");
	assert_int_equal(conf_read(temp_path(&temp, "d[1]/all.conf"), kinds, 2, &c), 0);
	assert_int_equal(c.count, 3);
	conf_done(&c);
}

static void test_faults_of_includes(void **state)
{
	(void)state;
	write_file("main",
		"include('b')\ninclude('absent')\ninclude('')\ndisk a { }\n"
		"include('c')\ninclude('d')\ninclude('main')\n");
	write_file("b", "disk b {\n	nonsense = 1\n}\ndisk a { }");
	write_file("c", "disk c { image = /c");
	write_file("d", "disk d { }\n\n}\ninclude('d')");
	check_faults("@b:2: nonsense: no such key in disk; there are image, allow, readonly, size\n"
		     "@main:2: include: @absent: No such file or directory\n"
		     "@main:3: include: the name of a file is missing\n"
		     "@c:1: disk: this section does not end; } is missing\n"
		     "@d:3: }: a section is expected here, NAME { } or NAME \"TITLE\" { }\n"
		     "@d:4: include: @d: is read already; once is enough\n"
		     "@main:7: include: @main: is read already; once is enough\n"
		     "@main:4: disk \"a\": is given already, at @b:4\n");
}

/* Files that include each other, all of them, by a pattern: no explosion. */
static void test_circles(void **state)
{
	struct conf c;

	(void)state;
	write_file("main", "include('f*')");
	for (int i = 0; i < 30; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%02d", i);
		write_file(name, "include('f*')\ninclude('main')\n");
	}
	assert_int_equal(read_main(&c), -EINVAL);
	assert_int_equal(c.fault_count, CONF_FAULTS_MAX + 1);
	assert_string_equal(
		c.faults[CONF_FAULTS_MAX], "there are more faults; these are the first ones");
	conf_done(&c);
}

static void test_depth(void **state)
{
	char name[16], text[32];
	struct conf c;

	(void)state;
	write_file("main", "include(f1)");
	for (int i = 1; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(text, sizeof(text), "include(f%d)", i + 1);
		write_file(name, text);
	}
	check_faults("@f7:1: include: @f8: more than 8 files deep\n");
	write_file("f7", "disk a { }");
	assert_int_equal(read_well(&c)->count, 1);
	conf_done(&c);
}

/* What cannot be looked at is no empty folder. */
static void test_closed_folder(void **state)
{
	struct conf c;

	(void)state;
	mkdir(temp_path(&temp, "closed"), 0);
	write_file("main", "include('closed/*')\ninclude('absent/*')\ninclude('main/*')");
	if (geteuid() == 0) {
		read_well(&c);
		conf_done(&c);
	} else {
		check_faults("@main:1: include: @closed/*: Permission denied\n");
	}
	rmdir(temp_path(&temp, "closed"));
}

/* libconfuse's lexer does not forget where a failed parse left it. */
static void test_good_after_bad(void **state)
{
	static const char *const bad[] = {"disk x", "disk \"x", "disk 'x", "/* x",
		"disk x { image = \"\\9\" }", "disk x { image = \"${\" }", "include(a, b",
		"include(\"a\" }", "disk x { allow = { a", "all { image = \"\\400\"", "}",
		"= = =", "disk x { image = 'a\n' }"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct conf c;

		write_file("main", bad[i]);
		assert_int_equal(read_main(&c), -EINVAL);
		conf_done(&c);
		write_file("main", "disk \"x\" { image = \"/x\" }");
		read_well(&c);
		assert_int_equal(c.count, 1);
		assert_string_equal(c.sections[0].values[0].texts[0], "/x");
		conf_done(&c);
	}
}

static void test_many(void **state)
{
	FILE *f = fopen(temp_path(&temp, "main"), "we");
	struct conf c;

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 2000; i++)
		fprintf(f, "disk \"vm%d\" { image = \"/srv/%d.img\" }\n", i, i);
	fclose(f);
	read_well(&c);
	assert_int_equal(c.count, 2000);
	assert_string_equal(c.sections[1999].values[0].texts[0], "/srv/1999.img");
	conf_done(&c);
}

static void test_odd_names(void **state)
{
	char title[4097], text[5000];
	struct conf c;

	(void)state;
	memset(title, 'n', 4096);
	title[4096] = 0;
	snprintf(text, sizeof(text), "disk '%s' { }\ndisk ' ' { }\ndisk '/%%n%%s' { }\ndisk '' { }",
		title);
	write_file("main", text);
	read_well(&c);
	assert_string_equal(c.sections[0].title, title);
	assert_string_equal(c.sections[1].title, " ");
	assert_string_equal(c.sections[2].title, "/%n%s");
	assert_string_equal(c.sections[3].title, "");
	conf_fault(&c, &c.sections[0], NULL, "%s", "x");
	assert_true(strlen(c.faults[0]) < 300);
	conf_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_includes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults_of_includes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_circles, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_good_after_bad, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_odd_names, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

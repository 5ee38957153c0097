/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file: everything it can say, and each fault with the words for it. */
#include "conf.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

static void test_good_file(void **state)
{
	struct conf c;
	struct err err = {0};

	(void)state;
	temp_file(&temp, "good.conf",
		"# comment\n"
		"export \"vm1\" {\n"
		"	image = \"/srv/vm1.img\"\n"
		"	readonly = true\n"
		"	description = \"root disk of vm1, gr\xc3\xbc\xc3\x9f\"\n"
		"	default = yes\n"
		"}\n"
		"export vm2 { image = /srv/vm2.img /* no more */ }\n"
		"export 'r\xc3\xa4tsel/3' {\n	image = '/srv/with space' \n}\n");
	assert_int_equal(conf_read(temp.path, &c, &err), 0);
	assert_int_equal(err.code, 0);
	assert_int_equal(c.count, 3);
	assert_string_equal(c.exports[0].name, "vm1");
	assert_string_equal(c.exports[0].image, "/srv/vm1.img");
	assert_string_equal(c.exports[0].description, "root disk of vm1, gr\xc3\xbc\xc3\x9f");
	assert_true(c.exports[0].readonly && c.exports[0].is_default);
	assert_string_equal(c.exports[1].name, "vm2");
	assert_string_equal(c.exports[1].image, "/srv/vm2.img");
	assert_null(c.exports[1].description);
	assert_false(c.exports[1].readonly || c.exports[1].is_default);
	assert_string_equal(c.exports[2].name, "r\xc3\xa4tsel/3");
	assert_string_equal(c.exports[2].image, "/srv/with space");
	conf_done(&c);
	conf_done(&c);
}

static void test_modes(void **state)
{
	struct conf c;
	struct err err = {0};

	(void)state;
	temp_file(&temp, "modes.conf",
		"export a { mode = target image = /a }\n"
		"export b { mode = 'cow-target' image = /b cow-dir = '/var/tmp' }\n"
		"export c { mode = proxy origin = 'nbd://h:1/n' cache = /c }\n"
		"export d { mode = proxy host = h port = 8520 exportname = n cache = /d\n"
		"	bitmap = /d.bm control = /d.ctl readonly = true }\n");
	if (conf_read(temp.path, &c, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(c.exports[0].mode, CONF_TARGET);
	assert_int_equal(c.exports[1].mode, CONF_COW_TARGET);
	assert_string_equal(c.exports[1].cow_dir, "/var/tmp");
	assert_int_equal(c.exports[2].mode, CONF_PROXY);
	assert_string_equal(c.exports[2].origin, "nbd://h:1/n");
	assert_string_equal(c.exports[2].cache, "/c");
	assert_true(!c.exports[2].bitmap && !c.exports[2].control && !c.exports[2].image);
	assert_string_equal(c.exports[3].host, "h");
	assert_string_equal(c.exports[3].port, "8520");
	assert_string_equal(c.exports[3].exportname, "n");
	assert_string_equal(c.exports[3].bitmap, "/d.bm");
	assert_string_equal(c.exports[3].control, "/d.ctl");
	assert_true(c.exports[3].readonly);
	conf_done(&c);
}

static void test_empty_files(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(conf_read(temp_file(&temp, "a", ""), &c, NULL), 0);
	assert_int_equal(c.count, 0);
	conf_done(&c);
	assert_int_equal(conf_read(temp_file(&temp, "b", "\n# nothing\n"), &c, NULL), 0);
	assert_int_equal(c.count, 0);
	conf_done(&c);
}

/* WANT: %s stands for the path of the file. */
static const struct {
	const char *text, *want;
} faults[] = {
	{"exprt x { }\n", "%s:1: no such option 'exprt'"},
	{"export x {\n	image = /a\n	colour = red\n}\n", "%s:3: no such option 'colour'"},
	{"export x {\n	image = /a\n	readonly = perhaps\n}\n",
		"%s:3: invalid boolean value for option 'readonly'"},
	{"export x {\n	image = /a\n	readonly", "%s:3: premature end of file"},
	{"\n\nexport {\n}\n", "%s:3: missing title for section 'export'"},
	{"export x {\n	image /a\n}\n", "%s:2: missing equal sign after option 'image'"},
	{"export x { image = /a }\nexport x { image = /b }\n", "%s:2: found duplicate title 'x'"},
	{"export x { }\n", "%s: export \"x\": image = \"PATH\" is missing"},
	{"export x { image = \"\" }\n", "%s: export \"x\": image = \"PATH\" is missing"},
	{"export x { image = vm.img }\n",
		"%s: export \"x\": image \"vm.img\": must be an absolute path"},
	{"export x { mode = cow image = /a }\n",
		"%s: export \"x\": mode \"cow\": must be target, cow-target or proxy"},
	{"export x { mode = cow-target }\n", "%s: export \"x\": image = \"PATH\" is missing"},
	{"export x { image = /a cow-dir = /b }\n",
		"%s: export \"x\": cow-dir belongs to mode = \"cow-target\", this one has mode = \"target\""},
	{"export x { image = /a cache = /b }\n",
		"%s: export \"x\": cache belongs to mode = \"proxy\", this one has mode = \"target\""},
	{"export x { mode = proxy image = /a }\n",
		"%s: export \"x\": image belongs to mode = \"target or cow-target\", this one has mode = \"proxy\""},
	{"export x { mode = proxy origin = 'nbd://h' }\n",
		"%s: export \"x\": cache = \"PATH\" is missing"},
	{"export x { mode = proxy origin = 'nbd://h' cache = c }\n",
		"%s: export \"x\": cache \"c\": must be an absolute path"},
	{"export x { mode = proxy cache = /c host = h }\n",
		"%s: export \"x\": a proxy needs origin = \"nbd://HOST/NAME\", or host and port"},
	{"export x { mode = proxy cache = /c origin = 'nbd://h' exportname = n }\n",
		"%s: export \"x\": origin excludes host, port and exportname; the URI has them"},
	{"export '' { image = /a }\n",
		"%s: export \"\": the name must not be empty (use default = true)"},
	{"export 'a\xff' { image = /a }\n", "%s: export name 'a\xff' is not valid UTF-8"},
	{"export x { image = /a description = 'a\xff' }\n",
		"%s: export \"x\": description: at most 4096 bytes of valid UTF-8"},
	{"export x { image = /a default = true }\nexport y { image = /b }\n"
	 "export z { image = /a default = on }\n",
		"%s: exports \"x\" and \"z\" are both the default; choose one"},
};

static void test_faults(void **state)
{
	char want[ERR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct conf c = {.count = 77};
		struct err err = {0};

		temp_file(&temp, "bad.conf", faults[i].text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(want, sizeof(want), faults[i].want, temp.path);
#pragma GCC diagnostic pop
		if (conf_read(temp.path, &c, &err) != -EINVAL || strcmp(err.text, want) != 0)
			fail_msg("%s\n got: %s\nwant: %s", faults[i].text, err.text, want);
		assert_int_equal(err.code, EINVAL);
		assert_int_equal(c.count, 77);
	}
}

static void test_unreadable(void **state)
{
	struct err err = {0};
	struct conf c;

	(void)state;
	assert_int_equal(conf_read(temp_path(&temp, "missing.conf"), &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, "missing.conf: No such file or directory"));
	assert_true(conf_read(temp.folder, &c, &err) < 0);
	assert_non_null(strstr(err.text, temp.folder));
}

static void test_include(void **state)
{
	char path[TEMP_PATH_MAX], text[2 * TEMP_PATH_MAX];
	struct err err = {0};
	struct conf c;

	(void)state;
	strcpy(path, temp_file(&temp, "more.conf", "export b { image = /b }\n"));
	snprintf(text, sizeof(text),
		"export a { image = /a }\ninclude(\"%s\")\n"
		"export c { image = /c }\n",
		path);
	assert_int_equal(conf_read(temp_file(&temp, "main.conf", text), &c, &err), 0);
	assert_int_equal(c.count, 3);
	assert_string_equal(c.exports[1].name, "b");
	conf_done(&c);
	temp_file(&temp, "more.conf", "export b {\n	image = /b\n	nonsense = 1\n}\n");
	assert_int_equal(conf_read(temp_path(&temp, "main.conf"), &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more.conf:3: no such option 'nonsense'"));
	unlink(path);
	assert_int_equal(conf_read(temp_path(&temp, "main.conf"), &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more.conf"));
}

/* A broken file leaves nothing behind that spoils the next one. */
static void test_good_after_bad(void **state)
{
	struct err err = {0};
	struct conf c;

	(void)state;
	assert_int_equal(conf_read(temp_file(&temp, "bad", "export x"), &c, &err), -EINVAL);
	err.code = 0;
	assert_int_equal(
		conf_read(temp_file(&temp, "good", "export x { image = /x }"), &c, &err), 0);
	assert_int_equal(c.count, 1);
	conf_done(&c);
}

static void test_thousand_exports(void **state)
{
	FILE *f = fopen(temp_path(&temp, "many.conf"), "we");
	struct conf c;

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "export \"vm%d\" { image = \"/srv/%d.img\" }\n", i, i);
	fclose(f);
	assert_int_equal(conf_read(temp.path, &c, NULL), 0);
	assert_int_equal(c.count, 1000);
	assert_string_equal(c.exports[999].image, "/srv/999.img");
	conf_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_file),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_empty_files),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_good_after_bad),
		cmocka_unit_test(test_thousand_exports),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

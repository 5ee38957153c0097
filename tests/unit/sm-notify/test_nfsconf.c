/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nfs.conf: syntax, includes, folders; case 75 of the reference page. */
#include "nfsconf.h"

#include "statedir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct statedir dir;
static struct nfsconf conf;

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	nfsconf_init(&conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nfsconf_done(&conf);
	statedir_done(&dir);
	return 0;
}

static void check(const char *section, const char *key, const char *want)
{
	const char *got = nfsconf_get(&conf, section, key);

	if (want)
		assert_string_equal(got ? got : "(not set)", want);
	else
		assert_null(got);
}

static void read_text(const char *text)
{
	nfsconf_done(&conf);
	nfsconf_init(&conf);
	statedir_forget_log(&dir);
	statedir_put(&dir, "nfs.conf", text);
	nfsconf_read(&conf, statedir_path(&dir, "nfs.conf"));
}

static void check_value(const char *line, const char *want)
{
	char text[300];

	snprintf(text, sizeof(text), "[s]\nk %s\n", line);
	read_text(text);
	check("s", "k", want);
	assert_int_equal(dir.lines, 0);
}

static void test_values(void **state)
{
	(void)state;
	check_value("=v", "v");
	check_value("= v", "v");
	check_value(" =\t v w \t\r", "v w");
	check_value("= \"v w \"", "v w ");
	check_value("= ' v'", " v");
	check_value("= \"v", "\"v");
	check_value("= v\"", "v\"");
	check_value("= \"v'", "\"v'");
	check_value("= \"", "\"");
	check_value("= \"\"", NULL);
	check_value("=", NULL);
	check_value("= a=b", "a=b");
	check_value("= a # b", "a # b"); /* only whole lines are comments */
}

static void test_sections_and_names_have_no_case(void **state)
{
	(void)state;
	read_text("[SM-Notify]\nRetry-Time=3\n[other]\nretry-time=4\n  [ sm-notify ]  \nforce = y");
	check("sm-notify", "retry-time", "3");
	check("OTHER", "RETRY-TIME", "4");
	check("sm-notify", "force", "y");
	check("sm-notify", "nothing", NULL);
	assert_int_equal(dir.lines, 0);
}

static void test_later_replaces_earlier(void **state)
{
	(void)state;
	read_text("[s]\nk=1\n[t]\nk=2\n[s]\nk=3\nK=4\n");
	check("s", "k", "4");
	check("t", "k", "2");
}

static void test_sections_with_an_argument(void **state)
{
	(void)state;
	read_text("[s \"arg\"]\nk=1\n[s]\nk=2\n[s'x']\nk=3\n");
	check("s", "k", "2");
	check("s arg", "k", "1");
	check("s x", "k", "3");
}

static void test_comments(void **state)
{
	(void)state;
	read_text("# a\n[s]\n;b=1\n  # k=2\n\nk=3\n#");
	check("s", "k", "3");
	assert_int_equal(dir.lines, 0);
}

static void check_fault(const char *text, const char *words)
{
	read_text(text);
	if (dir.lines != 1 || !strstr(dir.log, words))
		fail_msg("%s: %s", text, dir.log);
}

static void test_faults(void **state)
{
	char text[400];

	(void)state;
	check_fault("[s]\nnothing\nk=1", "line 2: neither");
	check("s", "k", "1");
	check_fault("[s]\n=1\nk=1", "line 2: a value without a name");
	check("s", "k", "1");
	check_fault("[s]\nk=1\n[t\nk=2", "line 3: not a section");
	check("s", "k", "1"); /* and not what stands in the broken one */
	check_fault("[s]\nk=1\n[t] x\nk=2", "line 3: not a section");
	check("s", "k", "1");
	check_fault("[]\nk=2", "line 1: no name");
	check_fault("[s]\ninclude = -", "which file");
	memset(text, 'x', sizeof(text));
	memcpy(text, "[", 1);
	memcpy(text + 300, "]\nk=1\n", 7);
	check_fault(text, "too long");
	statedir_put_bytes(&dir, "nfs.conf", "[s]\nk\0=1\nl=2\n", 13);
	statedir_forget_log(&dir);
	nfsconf_read(&conf, statedir_path(&dir, "nfs.conf"));
	assert_non_null(strstr(dir.log, "line 2: a zero byte"));
	check("s", "l", "2");
}

static void test_variables(void **state)
{
	(void)state;
	setenv("SM_TEST_A", "from environ", 1);
	setenv("SM_TEST_B", "hidden", 1);
	unsetenv("SM_TEST_C");
	read_text("[s]\na=$SM_TEST_A\nb=$sm_test_b\nc=$SM_TEST_C\nd=$\n"
		  "[environment]\nSM_TEST_B = $SM_TEST_A\n");
	check("s", "a", "from environ");
	check("s", "b", "$SM_TEST_A"); /* no variables in variables */
	check("s", "c", NULL);
	check("s", "d", NULL);
}

static void test_includes(void **state)
{
	char text[400];

	(void)state;
	statedir_put(&dir, "more", "k=2\nl=3\n[t]\nm=4\n");
	read_text("[s]\nk=1\ninclude = more\nn=5\n");
	check("s", "k", "2");
	check("s", "l", "3");
	check("t", "m", "4");
	check("t", "n", "5"); /* as if it stood there */
	snprintf(text, sizeof(text), "[s]\ninclude=\"%s\"\n", statedir_path(&dir, "more"));
	read_text(text);
	check("s", "l", "3");
	read_text("include = -absent\n[s]\nInclude = -absent2\nk=1");
	check("s", "k", "1");
	assert_int_equal(dir.lines, 0);
	check_fault("[s]\ninclude = absent\nk=1", "absent");
	check("s", "k", "1");
}

static void test_includes_without_end(void **state)
{
	(void)state;
	read_text("[s]\nk=1\ninclude = nfs.conf\nl=2\n");
	check("s", "l", "2");
	assert_int_equal(dir.lines, 1);
	assert_non_null(strstr(dir.log, "more than 8"));
}

static void test_folder(void **state)
{
	(void)state;
	assert_int_equal(mkdir(statedir_path(&dir, "nfs.conf.d"), 0700), 0);
	statedir_put(&dir, "nfs.conf.d/20.conf", "[s]\nk=20\nl=20\n");
	statedir_put(&dir, "nfs.conf.d/10.conf", "[s]\nk=10\nl=10\nm=10\n");
	statedir_put(&dir, "nfs.conf.d/30.conf~", "[s]\nk=30\n");
	statedir_put(&dir, "nfs.conf.d/.40.conf", "[s]\nk=40\n");
	statedir_put(&dir, "nfs.conf.d/50.conf", "k=50\n"); /* sections do not go on */
	statedir_put(&dir, "nfs.conf.d/60.conf", "[s]\ninclude = local\n");
	statedir_put(&dir, "nfs.conf.d/local", "o=60\n");
	read_text("[s]\nk=0\nl=0\nm=0\nn=0\n");
	check("s", "k", "20");
	check("s", "l", "20");
	check("s", "m", "10");
	check("s", "n", "0");
	check("s", "o", "60");
	assert_int_equal(dir.lines, 0);
}

static void test_nothing_there(void **state)
{
	(void)state;
	nfsconf_read(&conf, statedir_path(&dir, "absent.conf"));
	assert_int_equal(conf.count, 0);
	assert_int_equal(dir.lines, 0);
	assert_int_equal(mkdir(statedir_path(&dir, "folder.conf"), 0700), 0);
	nfsconf_read(&conf, statedir_path(&dir, "folder.conf"));
	assert_int_equal(dir.lines, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_sections_and_names_have_no_case, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_later_replaces_earlier, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sections_with_an_argument, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_comments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_variables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_includes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_includes_without_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

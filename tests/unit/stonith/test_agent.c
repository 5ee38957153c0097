/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a cluster or a command line says to fence_xnbd: both readers, actions, metadata, families of
 * PDUs by their sysObjectIDs, and lines that clusters read. */
#include "agent.h"
#include "agent_detect.h"
#include "agent_log.h"
#include "agent_table.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char warnings[4096];

static void collect(enum log_level level, const struct log_subject *about, const char *text)
{
	size_t len = strlen(warnings);

	(void)level;
	(void)about;
	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", text);
}

static int start(void **state)
{
	(void)state;
	warnings[0] = 0;
	log_to_function(collect);
	return 0;
}

/* Static: it is large. Texts of P point into INPUT. */
static struct agent_params *parse(const char *input)
{
	static struct agent_params p;
	static char text[1024];

	p = (struct agent_params){0};
	snprintf(text, sizeof(text), "%s", input);
	agent_parse_text(&p, text);
	return &p;
}

static void test_lines(void **state)
{
	static const struct {
		const char *input, *plug;
	} rows[] = {
		{"plug=n1", "n1"},
		{"plug=n1\n", "n1"},
		{"  plug = n1", " n1"}, /* a value may be a secret: blanks in front are its own */
		{"plug=n1  \t\r\n", "n1"},
		{"plug=\"n1\"", "n1"},
		{"plug=\" n1 \"", " n1 "},
		{"plug=\"", "\""},
		{"plug=\"\"", NULL},
		{"plug=a=b=c", "a=b=c"},
		{"plug=n1\nplug=n2", "n2"},
		{"plug=n2\nport=n1", "n1"}, /* one thing, two names */
		{"plug=n1\nplug=", NULL},
		{"#plug=n1", NULL},
		{"  # plug=n1", NULL},
		{"plug=n1#2", "n1#2"},
		{"\n\n\nplug=n1\n\n", "n1"},
		{"Plug=n1", NULL},
		{"plug n1", NULL},
		{"=n1", NULL},
		{"", NULL},
		{"bogus=1\nplug=n1\nnonsense\n", "n1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct agent_params *p = parse(rows[i].input);

		if (!rows[i].plug)
			assert_null(p->plug);
		else
			assert_string_equal(p->plug, rows[i].plug);
	}
}

static void test_unknown(void **state)
{
	const struct agent_params *p;

	(void)state;
	p = parse("nodeid=1\nmissing_as_off=1\nhalf\nsome_passwd=geheim\nnodename=n1");
	assert_string_equal(p->nodename, "n1");
	assert_non_null(strstr(warnings, "missing_as_off"));
	assert_non_null(strstr(warnings, "not NAME=VALUE"));
	assert_non_null(strstr(warnings, "some_passwd"));
	assert_null(strstr(warnings, "geheim"));
	assert_null(strstr(warnings, "nodeid"));
}

static void test_names_of_the_past(void **state)
{
	const struct agent_params *p;

	(void)state;
	p = parse(
		"ipaddr=192.0.2.1\nlogin=u\npasswd=a\npasswd_script=s\nport=1,2\nlogin_timeout=5\n"
		"retry_on=1\nstonith_status_sleep=1\ndisable_timeout=true\ndebug_file=/x\n");
	assert_string_equal(p->ip, "192.0.2.1");
	assert_string_equal(p->username, "u");
	assert_string_equal(p->password, "a");
	assert_string_equal(p->password_script, "s");
	assert_string_equal(p->plug, "1,2");
	assert_string_equal(warnings, "");
}

static void test_flags(void **state)
{
	static const char *const yes[] = {"1", "yes", "TRUE", "on", "y", "t", "3"};
	static const char *const no[] = {"0", "no", "false", "off", "", "00", "x", "-1"};
	char line[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		snprintf(line, sizeof(line), "verbose=%s", yes[i]);
		assert_true(parse(line)->verbose);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		snprintf(line, sizeof(line), "verbose=%s", no[i]);
		assert_false(parse(line)->verbose);
	}
	assert_false(parse("verbose=1\nverbose=0")->verbose);
}

static int read_bytes(const char *bytes, size_t len, struct agent_params *ret, struct err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)bytes, len, "r");
	int r = agent_parse_input(ret, in, err);

	fclose(in);
	return r;
}

static void test_input(void **state)
{
	static struct agent_params p;
	static char much[AGENT_INPUT_MAX + 1];
	struct err err;

	(void)state;
	assert_int_equal(read_bytes("plug=n1", 7, &p, &err), 0);
	assert_string_equal(p.plug, "n1");
	assert_int_equal(read_bytes("plug=n1\0x", 9, &p, &err), -EINVAL);
	memset(much, 'a', sizeof(much));
	assert_int_equal(read_bytes(much, sizeof(much), &p, &err), -EINVAL);
	assert_int_equal(read_bytes(much, AGENT_INPUT_MAX - 1, &p, &err), 0);
}

static void test_options(void **state)
{
	char *argv[] = {(char[]){"fence"}, (char[]){"-a"}, (char[]){"192.0.2.1"}, (char[]){"-n"},
		(char[]){"1"}, (char[]){"-c"}, (char[]){"private"}, (char[]){"-o"}, (char[]){"off"},
		(char[]){"-d"}, (char[]){"2c"}, (char[]){"-u"}, (char[]){"1161"}, (char[]){"-vvv"},
		(char[]){"--login-timeout=5"}, (char[]){"--ipaddr"}, (char[]){"192.0.2.2"},
		(char[]){"--snmp-sec-level="}, NULL};
	static struct agent_params p;
	struct err err;

	(void)state;
	p = (struct agent_params){0};
	assert_int_equal(agent_parse_argv(&p, ARRAY_LEN(argv) - 1, argv, &err), 0);
	assert_string_equal(p.ip, "192.0.2.2");
	assert_string_equal(p.plug, "1");
	assert_string_equal(p.action, "off");
	assert_string_equal(p.snmp_version, "2c");
	assert_string_equal(p.ipport, "1161");
	assert_true(p.verbose);
	assert_null(p.sec_level);
}

static void test_wrong_options(void **state)
{
	static const char *const words[] = {"off", "--bogus", "--missing-as-off", "-o"};
	static struct agent_params p;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		char word[32];
		char *argv[] = {word, word, NULL};

		snprintf(word, sizeof(word), "%s", words[i]);
		assert_int_equal(agent_parse_argv(&p, 2, argv, &err), -EINVAL);
	}
}

static void test_actions(void **state)
{
	static const struct {
		const char *name;
		enum agent_action action;
	} rows[] = {
		{"off", AGENT_OFF},
		{"OFF", AGENT_OFF},
		{"On", AGENT_ON},
		{"reboot", AGENT_REBOOT},
		{NULL, AGENT_REBOOT},
		{"status", AGENT_STATUS},
		{"monitor", AGENT_MONITOR},
		{"list", AGENT_LIST},
		{"list-status", AGENT_LIST_STATUS},
		{"metadata", AGENT_METADATA},
		{"Meta-Data", AGENT_METADATA},
		{"validate-all", AGENT_VALIDATE_ALL},
		{"manpage", AGENT_MANPAGE},
	};
	static const char *const none[] = {"of", "offf", "off ", "diag", "start", "stop", "reset"};
	enum agent_action action;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(agent_find_action(rows[i].name, &action));
		assert_int_equal(action, rows[i].action);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_false(agent_find_action(none[i], &action));
}

/* The schema is checked by a functional test; here: each row is there, once. */
static void test_metadata(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	agent_print_metadata(out);
	fclose(out);
	for (size_t i = 0; i < agent_rows; i++) {
		char wanted[96], *found;

		snprintf(wanted, sizeof(wanted), "<parameter name=\"%s\"", agent_table[i].name);
		found = strstr(text, wanted);
		assert_non_null(found);
		assert_null(strstr(found + 1, wanted));
		if (agent_table[i].now)
			assert_non_null(strstr(text, agent_table[i].now));
	}
	assert_non_null(strstr(text, "<action name=\"off\"/>"));
	free(text);
}

/* No letter and no name is of two rows: else an option would be another one's. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < agent_rows; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct agent_row *a = &agent_table[i], *b = &agent_table[k];

			assert_string_not_equal(a->name, b->name);
			assert_true(!a->letter || a->letter != b->letter);
		}
	}
}

static void test_families(void **state)
{
	static const struct {
		const char *system, *profile; /* NULL: is not chosen for anybody */
	} rows[] = {
		{"1.3.6.1.4.1.318.1.3.4.5", "apc-rpdu"},
		{"1.3.6.1.4.1.318.1.3.4.6", "apc-rpdu2"}, /* answers as apc-rpdu, too */
		{"1.3.6.1.4.1.318.1.3.4.2", "apc-masterswitch"},
		{"1.3.6.1.4.1.318.1.3.4.4", "apc-msp"},
		{"1.3.6.1.4.1.318.1.3.4.9", "apc-epdu"},
		{"1.3.6.1.4.1.534.6.6.7", "eaton-g3"},
		{"1.3.6.1.4.1.13742.6", "raritan-px2"},
		{"1.3.6.1.4.1.2.6.223", "ibm-ipdu"},
		{"1.3.6.1.4.1.3808.1.1.3", NULL}, /* two families */
		{"1.3.6.1.4.1.850.10", NULL},
		{"1.3.6.1.4.1.318.1.3.4.77", NULL},
		{"1.3.6.1.4.1.8072.3.2.10", NULL},
	};
	struct oid system;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct profile *p;

		assert_true(oid_parse(rows[i].system, &system));
		p = agent_profile_for(&system, &err);
		if (!rows[i].profile)
			assert_null(p);
		else
			assert_string_equal(p->name, rows[i].profile);
	}
}

/* What lands in a pipe for TEXT. */
static const char *written(const char *text)
{
	static char line[4096];
	int pipe_fds[2];
	ssize_t n;

	assert_int_equal(pipe(pipe_fds), 0);
	agent_log_write(pipe_fds[1], "x", LOG_LEVEL_WARN, text);
	n = read(pipe_fds[0], line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = 0;
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return line;
}

static void test_words(void **state)
{
	char longest[4096];

	(void)state;
	assert_string_equal(written("n1 is off"), "x: warning: n1 is off\n");
	assert_string_equal(written("power_timeout=x"), "x: warning: power_time-out=x\n");
	assert_string_equal(written("timeout"), "x: warning: time-out\n");
	assert_string_equal(
		written("TimeOut, timeouttimeout"), "x: warning: Time-Out, time-outtime-out\n");
	assert_string_equal(written("Connection timed out"), "x: warning: Connection timed out\n");
	assert_string_equal(written("time"), "x: warning: time\n");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_in_range(strlen(written(longest)), 2000, 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_lines, start),
		cmocka_unit_test_setup(test_unknown, start),
		cmocka_unit_test_setup(test_names_of_the_past, start),
		cmocka_unit_test_setup(test_flags, start),
		cmocka_unit_test_setup(test_input, start),
		cmocka_unit_test_setup(test_options, start),
		cmocka_unit_test_setup(test_wrong_options, start),
		cmocka_unit_test_setup(test_actions, start),
		cmocka_unit_test_setup(test_metadata, start),
		cmocka_unit_test_setup(test_table, start),
		cmocka_unit_test_setup(test_families, start),
		cmocka_unit_test_setup(test_words, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

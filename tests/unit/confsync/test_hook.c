/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the administrator: their ends, output, environment, time limit. */
#include "hook.h"

#include "clock.h"
#include "temp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char name[] = "n1", set_name[] = "web";
static struct config_node self = {.name = name};
static struct config config = {.self = &self};

static struct config_set set_of(const char *validate, const char *reload)
{
	return (struct config_set){.name = set_name,
		.validate = validate,
		.reload = reload,
		.validate_timeout = 60,
		.reload_timeout = 60};
}

static int validate(const char *command, const char *root, struct err *err)
{
	struct config_set s = set_of(command, NULL);

	*err = (struct err){0};
	return hook_validate(&config, &s, root, 7, err);
}

static void test_ends(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(validate(NULL, "/", &err), 0);
	assert_int_equal(validate("true", "/", &err), 0);
	assert_int_equal(validate("echo words", "/", &err), 0);
	assert_int_equal(validate("exit 3", "/", &err), -EREMOTEIO);
	assert_string_equal(err.text, "validate of set web: exit status 3");
	assert_int_equal(validate("kill -9 $$", "/", &err), -EREMOTEIO);
	assert_string_equal(err.text, "validate of set web: ended by signal 9");
	assert_int_equal(validate("/no/such/command", "/", &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "exit status 127"));
	assert_non_null(strstr(err.text, "/no/such/command"));
}

static void test_output(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(validate("echo one; echo two >&2; exit 1", "/", &err), -EREMOTEIO);
	assert_string_equal(err.text, "validate of set web: exit status 1: one two");
	assert_int_equal(validate("printf 'a\\033[1mb\\n\\n'; exit 1", "/", &err), -EREMOTEIO);
	assert_string_equal(err.text, "validate of set web: exit status 1: a\\x1b[1mb");
	/* The end counts, from the start of a line on. */
	assert_int_equal(validate("seq 100000; echo the end; exit 1", "/", &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "99999 100000 the end"));
	assert_null(strchr(err.text, '\n'));
	assert_int_equal(validate("head -c 100000 /dev/zero; exit 1", "/", &err), -EREMOTEIO);
	assert_int_equal(
		validate("head -c 5000 /dev/zero | tr '\\0' x; exit 1", "/", &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "xxxx"));
}

static void test_secret(void **state)
{
	struct config_set s = set_of("echo hunter2; exit 1", "echo hunter2; exit 1");
	struct err err = {0};

	(void)state;
	s.kind = CONFIG_SECRET;
	assert_int_equal(hook_validate(&config, &s, "/", 1, &err), -EREMOTEIO);
	assert_null(strstr(err.text, "hunter2"));
	assert_int_equal(hook_reload(&config, &s, true, 1, &err), -EREMOTEIO);
	assert_null(strstr(err.text, "hunter2"));
}

static void test_root(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(validate("test %r = /a/b-c_1.x && test $CONFSYNC_ROOT = /a/b-c_1.x && "
				  "test %%r%d = '%'r%d",
				 "/a/b-c_1.x", &err),
		0);
	assert_int_equal(validate("true %r", "/a b", &err), -EINVAL);
	assert_int_equal(validate("true %r", "/a;reboot", &err), -EINVAL);
	assert_int_equal(validate("true %", "/a", &err), 0);
}

static void test_environment(void **state)
{
	struct config_set s = set_of(NULL,
		"test \"$(env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | cut -d= -f1 | "
		"sort | tr '\\n' ' ')\" = "
		"'CONFSYNC_GENERATION CONFSYNC_NODE CONFSYNC_ROLE CONFSYNC_SET LANG PATH ' && "
		"test $CONFSYNC_GENERATION.$CONFSYNC_NODE.$CONFSYNC_ROLE.$CONFSYNC_SET = "
		"42.n1.unknown.web && test $(pwd) = / && test -z \"$(cat)\"");
	struct err err = {0};
	int r;

	(void)state;
	setenv("SECRET_OF_OURS", "x", 1);
	r = hook_reload(&config, &s, true, 42, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	config.general.role_command = "true";
	s.reload = "test $CONFSYNC_ROLE = passive";
	assert_int_equal(hook_reload(&config, &s, false, 42, &err), 0);
	s.reload = "test $CONFSYNC_ROLE = active";
	assert_int_equal(hook_reload(&config, &s, true, 42, &err), 0);
	config.general.role_command = NULL;
}

static void test_where(void **state)
{
	struct config_set s = set_of(NULL, "false");
	struct err err = {0};

	(void)state;
	s.reload_on = CONFIG_ON_ACTIVE;
	assert_int_equal(hook_reload(&config, &s, false, 1, &err), 0);
	assert_int_equal(hook_reload(&config, &s, true, 1, &err), -EREMOTEIO);
	s.reload_on = CONFIG_ON_PASSIVE;
	assert_int_equal(hook_reload(&config, &s, true, 1, &err), 0);
	assert_int_equal(hook_reload(&config, &s, false, 1, &err), -EREMOTEIO);
	assert_string_equal(err.text, "reload of set web on n1: exit status 1");
	s.reload = NULL;
	assert_int_equal(hook_reload(&config, &s, false, 1, &err), 0);
}

/* The whole group is gone: who holds the other end of the FIFO would keep it open. */
static void test_time_limit(void **state)
{
	struct config_set s;
	struct temp temp;
	struct err err = {0};
	char command[4 * TEMP_PATH_MAX + 800], byte;
	int fd;

	(void)state;
	temp_init(&temp);
	snprintf(command, sizeof(command),
		"mkfifo %s/f; (exec 3>%s/f; trap '' TERM; sleep 1000) & sleep 1000", temp.folder,
		temp.folder);
	s = set_of(command, NULL);
	s.validate_timeout = 1;
	assert_int_equal(hook_validate(&config, &s, "/", 1, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "killed, as it did not end within 1 s"));
	fd = open(temp_path(&temp, "f"), O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	while (read(fd, &byte, 1) < 0 && errno == EAGAIN)
		usleep(10000);
	close(fd);
	temp_done(&temp);
}

/* What a command leaves in the background is not waited for, and nothing of ours is in it. */
static void test_background(void **state)
{
	struct temp temp;
	struct err err;
	char command[4 * TEMP_PATH_MAX + 800];
	int ours = open("/dev/null", O_RDONLY);

	(void)state;
	temp_init(&temp);
	assert_true(ours >= 0);
	snprintf(command, sizeof(command),
		"(ls /proc/self/fd | tr '\\n' ' ' >%s/fds; echo $$ >%s/done; sleep 1000) & "
		"while ! [ -s %s/done ]; do sleep 0.05; done; echo $! >%s/pid",
		temp.folder, temp.folder, temp.folder, temp.folder);
	assert_int_equal(validate(command, "/", &err), 0);
	snprintf(command, sizeof(command),
		"kill $(cat %s/pid) && test \"$(cut -d' ' -f1-4 %s/fds)\" = '0 1 2 3'", temp.folder,
		temp.folder);
	assert_int_equal(validate(command, "/", &err), 0);
	close(ours);
	temp_done(&temp);
}

/* A daemon goes on after its starter's end, though what it prints is read by nobody. */
static void test_prints_later(void **state)
{
	struct temp temp;
	struct err err;
	char command[5 * TEMP_PATH_MAX + 300];

	(void)state;
	temp_init(&temp);
	snprintf(command, sizeof(command),
		"(while [ ! -e %s/go ]; do sleep 0.05; done; echo late; echo later >&2; "
		"echo x >%s/alive) & echo $! >%s/pid",
		temp.folder, temp.folder, temp.folder);
	assert_int_equal(validate(command, "/", &err), 0);
	snprintf(command, sizeof(command),
		">%s/go; while kill -0 $(cat %s/pid); do sleep 0.05; done; test -s %s/alive",
		temp.folder, temp.folder, temp.folder);
	assert_int_equal(validate(command, "/", &err), 0);
	temp_done(&temp);
}

static void test_prints_too_much(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(validate("yes", "/", &err), -EFBIG);
	assert_string_equal(
		err.text, "validate of set web: killed, as it printed more than 16 MiB");
	assert_int_equal(validate("head -c 9000000 /dev/zero; echo; echo end; exit 1", "/", &err),
		-EREMOTEIO);
	assert_non_null(strstr(err.text, ": end"));
	/* Opening it anew is no failure. */
	assert_int_equal(
		validate("set -e; echo a; echo b >/dev/stderr; exit 1", "/", &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "b"));
}

static void test_role(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(hook_role(&config, &err), 0);
	config.general.role_command = "true";
	assert_int_equal(hook_role(&config, &err), 1);
	config.general.role_command = "exit 1";
	assert_int_equal(hook_role(&config, &err), 0);
	config.general.role_command = "exit 7";
	assert_int_equal(hook_role(&config, &err), 0);
	config.general.role_command = "/no/such/role";
	assert_int_equal(hook_role(&config, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "role command: exit status 127"));
	config.general.role_command = "kill -11 $$";
	assert_int_equal(hook_role(&config, &err), -EREMOTEIO);
	config.general.role_command = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_prints_later),
		cmocka_unit_test(test_prints_too_much),
		cmocka_unit_test(test_role),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

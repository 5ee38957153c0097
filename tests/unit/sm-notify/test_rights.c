/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up root, seen by the kernel (cases 64 to 66 of the reference page), and what the filter
 * leaves possible. Each test is a child process, as nothing can be taken back.
 */
#include "rights.h"

#include "fsutil.h"
#include "need.h"
#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { OWNER = 12345, GROUP = 23456 };

/* In children, where cmocka's asserts would end the wrong process. */
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void in_child(void (*fn)(void))
{
	pid_t child;
	int status = 0;

	need_root();
	child = fork();
	if (child == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* "Name:\tvalue" of /proc/self/status. */
static bool status_is(const char *name, const char *value)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[300], want[300];
	bool found = false;

	snprintf(want, sizeof(want), "%s:\t%s", name, value);
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		while (*line && line[strlen(line) - 1] == ' ')
			line[strlen(line) - 1] = 0;
		if (strncmp(line, want, strlen(name) + 1) == 0)
			found = strcmp(line, want) == 0;
		if (strncmp(line, want, strlen(name) + 1) == 0 && !found)
			fprintf(stderr, "%s\n", line);
	}
	if (f)
		fclose(f);
	return found;
}

static void start(struct rights *r, uid_t uid, gid_t gid)
{
	const gid_t groups[] = {1, 2, 3};
	struct err err = {0};

	NEED(setgroups(ARRAY_LEN(groups), groups) == 0);
	NEED(rights_init(r, uid, gid, &err) == 0);
}

static void check_nothing_left(void)
{
	NEED(status_is("Groups", ""));
	NEED(status_is("CapInh", "0000000000000000"));
	NEED(status_is("CapPrm", "0000000000000000"));
	NEED(status_is("CapEff", "0000000000000000"));
	NEED(status_is("CapBnd", "0000000000000000"));
	NEED(status_is("CapAmb", "0000000000000000"));
	NEED(status_is("NoNewPrivs", "1"));
}

static void drop_to_owner(void)
{
	struct rights r;
	struct err err = {0};

	start(&r, OWNER, GROUP);
	NEED(rights_drop(&r, &err) == 0);
	NEED(status_is("Uid", "12345\t12345\t12345\t12345"));
	NEED(status_is("Gid", "23456\t23456\t23456\t23456"));
	check_nothing_left();
	NEED(setuid(0) < 0 && setgid(0) < 0 && seteuid(0) < 0);
}

static void drop_while_borrowed(void)
{
	struct rights r;
	struct err err = {0};

	start(&r, OWNER, GROUP);
	NEED(rights_borrow(&r, &err) == 0);
	NEED(rights_drop(&r, &err) == 0);
	NEED(status_is("Uid", "12345\t12345\t12345\t12345"));
	check_nothing_left();
}

static void stay_root(void)
{
	struct rights r;
	struct err err = {0};

	start(&r, 0, 0);
	NEED(rights_borrow(&r, &err) == 0 && rights_return(&r, &err) == 0);
	NEED(rights_drop(&r, &err) == 0);
	NEED(status_is("Uid", "0\t0\t0\t0"));
	check_nothing_left();
}

static void borrow_and_return(void)
{
	struct rights r;
	struct err err = {0};

	start(&r, OWNER, GROUP);
	for (int i = 0; i < 2; i++) {
		NEED(rights_borrow(&r, &err) == 0 && rights_borrow(&r, &err) == 0);
		NEED(status_is("Uid", "0\t12345\t0\t12345"));
		NEED(status_is("Gid", "0\t23456\t0\t23456"));
		NEED(status_is("CapEff", "0000000000000000"));
		NEED(open("/proc/1/environ", O_RDONLY) < 0);
		NEED(rights_return(&r, &err) == 0 && rights_return(&r, &err) == 0);
		NEED(status_is("Uid", "0\t0\t0\t0") && status_is("Gid", "0\t0\t0\t0"));
		NEED(status_is("Groups", ""));
	}
}

static void not_root(void)
{
	struct rights r;
	struct err err = {0};

	NEED(setresgid(OWNER, OWNER, OWNER) == 0 && setresuid(OWNER, OWNER, OWNER) == 0);
	NEED(rights_init(&r, GROUP, GROUP, &err) == -EPERM);
	NEED(strstr(err.text, "owner of sm, user 23456"));
	NEED(rights_init(&r, OWNER, OWNER, &err) == 0);
	NEED(rights_borrow(&r, &err) == 0 && rights_return(&r, &err) == 0);
	NEED(rights_drop(&r, &err) == 0);
	NEED(status_is("CapEff", "0000000000000000") && status_is("NoNewPrivs", "1"));
}

static void *do_nothing(void *arg)
{
	return arg;
}

static char folder[300];

/* What a run does. */
static void work(void)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *list = NULL;
	char from[400], to[400];
	pthread_t thread;
	int fd, sock;

	NEED(pthread_create(&thread, NULL, do_nothing, NULL) == 0);
	NEED(pthread_join(thread, NULL) == 0);
	NEED(getaddrinfo("localhost", "111", &hints, &list) == 0 && list);
	freeaddrinfo(list);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	NEED(sock >= 0 && close(sock) == 0);
	snprintf(from, sizeof(from), "%s/from", folder);
	snprintf(to, sizeof(to), "%s/to", folder);
	fd = open(from, O_WRONLY | O_CREAT | O_EXCL, 0600);
	NEED(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && close(fd) == 0);
	NEED(rename(from, to) == 0 && unlinkat(AT_FDCWD, to, 0) == 0);
}

static void filtered(void)
{
	char *const argv[] = {(char *)"/bin/true", NULL};
	struct rights r;
	struct err err = {0};

	start(&r, OWNER, GROUP);
	NEED(rights_drop(&r, &err) == 0 && rights_filter(&err) == 0);
	work();
	if (!status_is("Seccomp", "2"))
		_exit(prctl(PR_GET_SECCOMP) == 0 ? 0 : 1); /* a sanitizer build */
	errno = 0;
	NEED(execv(argv[0], argv) < 0 && errno == EPERM);
	NEED(mount("none", "/mnt", "tmpfs", 0, NULL) < 0);
	NEED(setuid(OWNER) < 0 && errno == EPERM);
	NEED(chmod(folder, 0755) < 0 && errno == EPERM);
	work();
}

static void test_drop(void **state)
{
	(void)state;
	in_child(drop_to_owner);
	in_child(drop_while_borrowed);
}

static void test_root_stays_root(void **state)
{
	(void)state;
	in_child(stay_root);
}

static void test_borrow(void **state)
{
	(void)state;
	in_child(borrow_and_return);
}

static void test_not_root(void **state)
{
	(void)state;
	in_child(not_root);
}

static void test_filter(void **state)
{
	struct temp temp;

	(void)state;
	temp_init(&temp);
	snprintf(folder, sizeof(folder), "%s", temp.folder);
	chmod(folder, 0777);
	in_child(filtered);
	temp_done(&temp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_root_stays_root),
		cmocka_unit_test(test_borrow),
		cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_filter),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}

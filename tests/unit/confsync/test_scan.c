/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scan of real files: what is found, what is passed over, and what is a fault. Run as root. */
#include "scan.h"

#include "beneath.h"
#include "check.h"
#include "need.h"
#include "path.h"
#include "scans.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct scans s;

static int set_up(void **state)
{
	(void)state;
	scans_init(&s);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scans_done(&s);
	return 0;
}

static void run(const char *keys)
{
	scans_config(&s, keys, "");
	assert_int_equal(scans_run(&s, SCAN_QUICK), 0);
}

static void assert_entries(const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!scans_entry(&s, names[i]))
			fail_msg("%s is missing", names[i]);
	assert_int_equal(s.scan.files.count, count);
	assert_int_equal(s.scan.fault_count, 0);
}

#define ASSERT_ENTRIES(...)                                                                        \
	assert_entries((const char *const[]){__VA_ARGS__},                                         \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void make_tree(void)
{
	scans_write(&s, "a.conf", "one\n");
	scans_write(&s, "b.txt", "two\n");
	scans_write(&s, ".hidden.conf", "x\n");
	scans_write(&s, "conf.d/c.conf", "three\n");
	scans_write(&s, "conf.d/.dot", "four\n");
	scans_write(&s, "conf.d/deep/d.conf", "five\n");
	scans_write(&s, "conf.d/c.conf~", "left by an editor\n");
	scans_write(&s, "other/e.conf", "six\n");
}

static void test_patterns(void **state)
{
	(void)state;
	make_tree();
	run("paths = {\"@/a.conf\", \"@/none\", \"@/none/f\", \"@/a.conf/f\"}");
	ASSERT_ENTRIES("a.conf");
	run("paths = {\"@/*.conf\"}");
	ASSERT_ENTRIES("a.conf");
	run("paths = {\"@/*/*.conf\"}");
	ASSERT_ENTRIES("conf.d/c.conf", "other/e.conf");
	run("paths = {\"@/**/?.conf\"}");
	ASSERT_ENTRIES("a.conf", "conf.d/c.conf", "conf.d/deep/d.conf", "other/e.conf");
}

static void test_trees(void **state)
{
	(void)state;
	make_tree();
	run("paths = {\"@/conf.d/\"}");
	ASSERT_ENTRIES(
		"conf.d", "conf.d/.dot", "conf.d/c.conf", "conf.d/deep", "conf.d/deep/d.conf");
	run("paths = {\"@/conf.d\", \"@/conf.d/deep/d.conf\"} exclude = {\".dot\"}");
	ASSERT_ENTRIES("conf.d", "conf.d/c.conf", "conf.d/deep", "conf.d/deep/d.conf");
	run("paths = {\"@/c*\"} exclude = {\"@/conf.d/deep\"}");
	ASSERT_ENTRIES("conf.d", "conf.d/.dot", "conf.d/c.conf");
	run("paths = {\"@/conf.d/c.conf/\", \"@/conf.d\"} exclude = {\"c*\"}");
	assert_int_equal(s.scan.files.count, 0);
}

static void test_entry(void **state)
{
	const struct entry *e;
	char hex[MANIFEST_HEX];

	(void)state;
	scans_write(&s, "f", "abc");
	scans_shell(&s, "chmod 4640 f && chown daemon:4242 f && chmod 4640 f && mkdir -m 1770 d");
	run("paths = {\"@/\"} mode = \"4640\"");
	e = scans_entry(&s, "f");
	hash_to_hex(e->hash, hex);
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(e->size, 3);
	assert_int_equal(e->mode, 04640);
	assert_string_equal(e->owner, "daemon");
	assert_string_equal(e->group, "4242");
	assert_int_equal(scans_entry(&s, "d")->type, MANIFEST_FOLDER);
	assert_int_equal(scans_entry(&s, "d")->mode, 01770);
	assert_int_equal(scans_entry(&s, "")->type, MANIFEST_FOLDER);
}

/* Who can write to a folder may link what he cannot read. */
static void test_hard_links(void **state)
{
	(void)state;
	scans_write(&s, "secret", "abc");
	scans_shell(&s,
		"mkdir -m 755 ours theirs open && ln secret ours/a && "
		"chown daemon theirs && chmod 1777 open");
	run("paths = {\"@/ours\"}");
	assert_int_equal(s.scan.fault_count, 0);
	assert_non_null(scans_entry(&s, "ours/a"));
	scans_shell(&s,
		"ln secret theirs/a && ln secret open/a && echo >theirs/b && "
		"chown daemon theirs/b && ln theirs/b theirs/c");
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 2);
	assert_true(scans_fault(&s, "theirs/a: has another name"));
	assert_true(scans_fault(&s, "open/a: has another name"));
	assert_null(scans_entry(&s, "theirs/a"));
	assert_null(scans_entry(&s, "open/a"));
	assert_non_null(scans_entry(&s, "theirs/c"));
}

static void test_names(void **state)
{
	static const char *const names[] = {
		"a\nb", " ", "a b", "\xff\xfe", "%41", "\t", "*", "[", "\\", "-rf"};
	struct buf text;
	struct manifest back;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		scans_write(&s, names[i], names[i]);
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 0);
	assert_int_equal(s.scan.files.count, ARRAY_LEN(names) + 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(scans_entry(&s, names[i])->size, strlen(names[i]));
	buf_init(&text, MANIFEST_TEXT_MAX);
	manifest_print(&s.scan.files, &text);
	manifest_init(&back);
	assert_int_equal(
		manifest_parse((const char *)buf_bytes(&text), buf_len(&text), &back, &err), 0);
	manifest_done(&back);
	buf_done(&text);
}

static void test_links(void **state)
{
	(void)state;
	make_tree();
	scans_shell(&s, "ln -s ../../etc conf.d/link && ln -s /nowhere gone");
	run("paths = {\"@/conf.d/\", \"@/gone\"}");
	assert_int_equal(s.scan.fault_count, 2);
	assert_true(scans_fault(&s, "conf.d/link: a symbolic link"));
	assert_null(scans_entry(&s, "conf.d/link"));
	run("paths = {\"@/conf.d/\", \"@/gone\"} symlinks = true");
	assert_int_equal(s.scan.fault_count, 0);
	assert_string_equal(scans_entry(&s, "conf.d/link")->target, "../../etc");
	assert_int_equal(scans_entry(&s, "gone")->type, MANIFEST_LINK);
	assert_null(scans_entry(&s, "conf.d/link/passwd"));
}

/* Each folder on the way becomes a link to a place that has the same names. */
static void test_escapes(void **state)
{
	static const char *const folders[] = {"one", "one/two", "one/two/three"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		scans_write(&s, "one/two/three/passwd", "ours\n");
		scans_shell(&s, "rm -rf %s", folders[i]);
		scans_shell(&s,
			"mkdir -p out/two/three/three out/three && "
			"for d in out out/two out/three out/two/three; do "
			"echo theirs >$d/passwd; done");
		scans_shell(&s, "ln -s \"$PWD/%s\" %s",
			i == 0           ? "out"
				: i == 1 ? "out/two"
					 : "/etc",
			folders[i]);
		run("paths = {\"@/one/two/three/passwd\"}");
		assert_int_equal(s.scan.files.count, 0);
		assert_true(scans_fault(&s, "symbolic link"));
		run("paths = {\"@/one/*/*/passwd\", \"@/one/**/passwd\"}");
		assert_int_equal(s.scan.files.count, 0);
		run("paths = {\"@/one/\"}");
		assert_null(scans_entry(&s, "one/two/three/passwd"));
		assert_true(scans_fault(&s, "symbolic link"));
		scans_shell(&s, "rm -rf one out");
	}
}

static void test_special(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", s.root) <
		(int)sizeof(a.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	scans_shell(&s, "mkfifo fifo && mknod dev c 1 3 && echo x >file");
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 3);
	assert_true(scans_fault(&s, "/fifo: not a file, folder or symbolic link"));
	assert_true(scans_fault(&s, "/dev: not a file"));
	assert_true(scans_fault(&s, "/sock: not a file"));
	assert_non_null(scans_entry(&s, "file"));
}

static void check_rights(const char *keys, const char *fault)
{
	run(keys);
	if (fault ? !scans_fault(&s, fault) : s.scan.fault_count > 0)
		fail_msg("%s: %zu faults, is there \"%s\"?", keys, s.scan.fault_count,
			fault ? fault : "none");
}

/* What gives rights without being seen in a content. */
static void test_rights(void **state)
{
	static const char acl[] = "has an access control list";

	(void)state;
	scans_shell(&s, "touch f && mkdir d && chmod 755 d && chmod 2755 f");
	check_rights("paths = {\"@/\"}", "/f: is setuid or setgid");
	check_rights("paths = {\"@/\"} mode = \"0755\"", "/f: is setuid or setgid");
	check_rights("paths = {\"@/\"} mode = \"4755\"", "/f: is setuid or setgid");
	check_rights("paths = {\"@/\"} mode = \"2755\"", NULL);
	scans_shell(&s, "chmod 755 f && chmod 2755 d"); /* of a folder: who the files belong to */
	check_rights("paths = {\"@/\"} mode = \"0755\"", NULL);
	scans_shell(&s, "chmod g-s d && setcap cap_net_bind_service+ep f");
	check_rights("paths = {\"@/\"}", "/f: has capabilities");
	check_rights("paths = {\"@/\"} mode = \"0755\"", "/f: has capabilities");
	scans_shell(&s, "setcap -r f && setfacl -m u:daemon:r,m::rx f");
	check_rights("paths = {\"@/\"}", NULL);
	check_rights("paths = {\"@/\"} folder-mode = \"0755\"", NULL);
	check_rights("paths = {\"@/\"} mode = \"0755\"", acl);
	check_rights("paths = {\"@/\"} kind = \"secret\"", acl);
	scans_shell(&s, "setfacl -b f && setfacl -d -m u:daemon:r d");
	check_rights("paths = {\"@/\"}", NULL);
	check_rights("paths = {\"@/\"} mode = \"0755\"", acl);
	check_rights("paths = {\"@/\"} kind = \"secret\"", acl);
}

static void test_rules(void **state)
{
	(void)state;
	scans_write(&s, "f", "x");
	scans_shell(&s, "chmod 0644 f && chown daemon:daemon f");
	run("paths = {\"@/f\"} owner = \"root\" group = \"root\" mode = \"0640\"");
	assert_int_equal(s.scan.fault_count, 3);
	assert_true(scans_fault(&s, "/f: its owner is daemon, but the set's is root"));
	assert_true(scans_fault(&s, "/f: its group is daemon, but the set's is root"));
	assert_true(scans_fault(&s, "/f: its mode is 0644, but the set's is 0640"));
	run("paths = {\"@/\"} folder-mode = \"0700\" mode = \"0644\"");
	assert_int_equal(s.scan.fault_count, 1);
	assert_true(scans_fault(&s, "files: its mode is 0755, but the set's is 0700"));
	run("paths = {\"@/\"} kind = \"secret\"");
	assert_int_equal(s.scan.fault_count, 2);
	assert_true(scans_fault(&s, "/f: its mode is 0644, but in a secret set at most 0600"));
	scans_shell(&s, "chmod 0400 f && chmod 0500 .");
	run("paths = {\"@/\"} kind = \"secret\"");
	assert_int_equal(s.scan.fault_count, 0);
}

static void test_two_sets(void **state)
{
	(void)state;
	make_tree();
	scans_config(&s, "paths = {\"@/conf.d/\"} exclude = {\".dot\"}",
		"set \"u\" { paths = {\"@/**/d.conf\", \"@/conf.d/.dot\"} }\n"
		"set \"v\" { paths = {\"/nowhere/\"} }\n"
		"set \"w\" { kind = \"local\" paths = {\"@/conf.d/c.conf\"} }\n");
	assert_int_equal(scans_run(&s, SCAN_QUICK), 0);
	assert_int_equal(s.scan.fault_count, 1);
	assert_true(scans_fault(&s, "deep/d.conf: it is in set u too"));
	assert_null(scans_entry(&s, "conf.d/c.conf"));
	assert_non_null(scans_entry(&s, "conf.d/deep/d.conf"));
}

/* Someone who may not read everything; all of it in a child. */
static void test_unreadable(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	make_tree();
	scans_shell(&s, "chmod 0700 conf.d/deep && chmod 0600 a.conf");
	scans_config(&s, "paths = {\"@/\"}", "");
	pid = fork();
	if (pid == 0) {
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		CHECK(scans_run(&s, SCAN_FULL) == 0);
		CHECK(s.scan.fault_count == 2);
		CHECK(scans_fault(&s, "/a.conf: cannot be read: Permission denied"));
		CHECK(scans_fault(&s, "/conf.d/deep: cannot be read: Permission denied"));
		CHECK(scans_entry(&s, "other/e.conf"));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Paths longer than PATH_BYTES_MAX, or deeper than PATH_DEPTH_MAX, are told; nothing is lost
 * silently. Made by descriptors, as no call takes such a path. */
static void make_deep(unsigned levels, size_t len)
{
	int fd = open(s.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[PATH_COMPONENT_MAX + 1];

	memset(name, 'x', len);
	name[len] = 0;
	for (unsigned i = 0; i < levels; i++) {
		int next;

		CHECK(mkdirat(fd, name, 0755) == 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		close(fd);
		fd = next;
	}
	close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	close(fd);
}

static void test_deep(void **state)
{
	(void)state;
	make_deep(80, 1);
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 1);
	assert_true(scans_fault(&s, "too deep"));
	scans_shell(&s, "rm -rf x");
	make_deep(20, 250);
	run("paths = {\"@/**/file\"}");
	assert_int_equal(s.scan.fault_count, 1);
	assert_true(scans_fault(&s, "too deep"));
	scans_shell(&s, "rm -rf x*");
	make_deep(40, 90);
	run("paths = {\"@/**/file\"}");
	assert_int_equal(s.scan.fault_count, 0);
	assert_int_equal(s.scan.files.count, 1);
}

static void test_limits(void **state)
{
	(void)state;
	scans_write(&s, "a", "x");
	scans_shell(&s, "truncate -s 2G big");
	run("paths = {\"@/big\"}");
	assert_int_equal(s.scan.fault_count, 1);
	assert_int_equal(s.scan.hashed, 0);
	assert_true(scans_fault(&s, "too large: the files of a set have at most 1024 MiB"));
	scans_shell(&s, "rm big && seq -f f%%g %d | xargs touch", SCAN_FILES_MAX);
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 1);
	assert_true(scans_fault(&s, "too many: a set has at most 10000 files"));
	assert_int_equal(s.scan.files.count, SCAN_FILES_MAX + 1);
	scans_shell(&s, "rm a");
	run("paths = {\"@/\"}");
	assert_int_equal(s.scan.fault_count, 0);
}

/* In a mount namespace of a child: a folder that is a bind mount belongs to the set. */
static void test_bind_mount(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	scans_write(&s, "real/f", "x");
	scans_mkdir(&s, "bound");
	scans_config(&s, "paths = {\"@/bound/\"}", "");
	pid = fork();
	if (pid == 0) {
		char from[PATH_MAX];

		if (unshare(CLONE_NEWNS) < 0)
			_exit(77);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		snprintf(from, sizeof(from), "%s", scans_path(&s, "real"));
		CHECK(mount(from, scans_path(&s, "bound"), NULL, MS_BIND, NULL) == 0);
		CHECK(scans_run(&s, SCAN_QUICK) == 0 && scans_entry(&s, "bound/f"));
		CHECK(s.scan.fault_count == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	need(status != 77 << 8, "a mount namespace");
	assert_int_equal(status, 0);
}

static void test_magic_links(void **state)
{
	(void)state;
	run("paths = {\"/proc/self/root/etc/passwd\", \"/proc/self/cwd/\"}");
	assert_int_equal(s.scan.files.count, 0);
	assert_true(scans_fault(&s, "symbolic link"));
}

static void test_digest(void **state)
{
	uint8_t one[MANIFEST_HASH];

	(void)state;
	make_tree();
	run("paths = {\"@/\"}");
	memcpy(one, s.scan.digest, sizeof(one));
	run("paths = {\"@/a.conf\", \"@/\"}");
	assert_memory_equal(one, s.scan.digest, sizeof(one));
	scans_shell(&s, "chmod 0600 a.conf");
	run("paths = {\"@/\"}");
	assert_memory_not_equal(one, s.scan.digest, sizeof(one));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_patterns),
		T(test_trees),
		T(test_entry),
		T(test_hard_links),
		T(test_names),
		T(test_links),
		T(test_escapes),
		T(test_special),
		T(test_rules),
		T(test_rights),
		T(test_two_sets),
		T(test_unreadable),
		T(test_deep),
		T(test_limits),
		T(test_bind_mount),
		T(test_magic_links),
		T(test_digest),
	};

	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Owners, modes, attributes and ACLs of real files, read and given back. Run as root. */
#include "meta.h"

#include "check.h"
#include "meta_acl.h"
#include "meta_names.h"
#include "need.h"
#include "sample.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

static struct temp temp;
static struct meta_names *names;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	names = meta_names_new();
	return !names;
}

static int tear_down(void **state)
{
	(void)state;
	meta_names_free(names);
	temp_done(&temp);
	return 0;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char command[512], whole[640];
	va_list ap;

	va_start(ap, fmt);
	CHECK(vsnprintf(command, sizeof(command), fmt, ap) < (int)sizeof(command));
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd %s && PATH=$PATH:/usr/sbin && %s", temp.folder, command);
	CHECK(system(whole) == 0); /* NOLINT */
}

static int open_one(const char *name)
{
	int fd = open(temp_path(&temp, name), O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static struct entry read_one(const char *name)
{
	CLEANUP_FD int fd = open_one(name);
	struct entry e = {0};
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	assert_int_equal(meta_read(names, fd, &st, &e), 0);
	return e;
}

static const char *attr(const struct entry *e, const char *name)
{
	for (size_t i = 0; i < e->attr_count; i++)
		if (strcmp(e->attrs[i].name, name) == 0)
			return (const char *)e->attrs[i].value;
	return NULL;
}

static int apply_to(const char *name, const struct entry *e)
{
	CLEANUP_FD int fd = open_one(name);

	return meta_apply(names, fd, e, &err);
}

/* Gives what FROM is to the new file TO, and compares. */
static void assert_carried(const char *from, const char *to)
{
	struct entry a = read_one(from), b;

	assert_int_equal(meta_check(names, &a, &err), 0);
	assert_int_equal(apply_to(to, &a), 0);
	b = read_one(to);
	assert_int_equal(entry_difference(&a, &b) & ~(unsigned)ENTRY_CONTENT, 0);
	entry_done(&a);
	entry_done(&b);
}

static void test_owner_and_mode(void **state)
{
	struct entry e;

	(void)state;
	shell("echo abc >f && touch g && chown daemon:bin f && chmod 6751 f");
	e = read_one("f");
	assert_int_equal(e.type, MANIFEST_FILE);
	assert_int_equal(e.size, 4);
	assert_int_equal(e.mode, 06751);
	assert_string_equal(e.owner, "daemon");
	assert_string_equal(e.group, "bin");
	assert_int_equal(e.attr_count, 0);
	entry_done(&e);
	assert_carried("f", "g");
	shell("chown 54321:65432 f");
	e = read_one("f");
	assert_string_equal(e.owner, "54321");
	assert_string_equal(e.group, "65432");
	entry_done(&e);
	assert_carried("f", "g");
	shell("mkdir -m 3775 d e && chown bin d");
	assert_carried("d", "e");
}

static void test_types(void **state)
{
	struct entry e = {0};
	struct stat st;

	(void)state;
	shell("ln -s x link && chown -h daemon:bin link && mkfifo fifo");
	CHECK(lstat(temp_path(&temp, "link"), &st) == 0);
	assert_int_equal(meta_read(names, -1, &st, &e), 0);
	assert_int_equal(e.type, MANIFEST_LINK);
	assert_int_equal(e.mode, 0);
	assert_string_equal(e.owner, "daemon");
	snprintf(e.owner, sizeof(e.owner), "bin");
	assert_int_equal(meta_apply_link(names, AT_FDCWD, temp_path(&temp, "link"), &e, &err), 0);
	CHECK(lstat(temp_path(&temp, "link"), &st) == 0);
	assert_int_equal(st.st_uid, 2);
	CHECK(lstat(temp_path(&temp, "fifo"), &st) == 0);
	assert_int_equal(meta_read(names, -1, &st, &e), -EOPNOTSUPP);
}

static void test_attributes(void **state)
{
	struct entry e;

	(void)state;
	shell("touch f g && setfattr -n user.b -v two f && setfattr -n user.a f && "
	      "setfattr -n user.c -v 0x00ff0a f && setfattr -n trusted.t -v no f && "
	      "setfattr -n user.old -v x g && setcap cap_net_bind_service+ep f");
	e = read_one("f");
	assert_int_equal(e.attr_count, 4);
	assert_string_equal(e.attrs[0].name, "security.capability");
	assert_string_equal(e.attrs[1].name, "user.a");
	assert_int_equal(e.attrs[1].len, 0);
	assert_string_equal(attr(&e, "user.b"), "two");
	assert_int_equal(e.attrs[3].len, 3);
	assert_memory_equal(e.attrs[3].value, "\0\xff\n", 3);
	entry_done(&e);
	assert_carried("f", "g");
	/* chown takes capabilities away, so owner first. */
	shell("chown daemon f && setcap cap_net_bind_service+ep f && touch h");
	assert_carried("f", "h");
	shell("getcap h | grep -q cap_net_bind_service");
	shell("setfattr -n trusted.own -v stays g && setfattr -x user.a f && setcap -r f");
	assert_carried("f", "g");
	shell("getfattr -n trusted.own g >/dev/null 2>&1");
}

static void test_acl(void **state)
{
	struct entry e;

	(void)state;
	shell("touch f g && chmod 640 f && setfacl -m u:daemon:rw,u:bin:r,g:54321:x,g:adm:r f");
	e = read_one("f");
	assert_string_equal(attr(&e, "acl.access"),
		"u::rw-,u:bin:r--,u:daemon:rw-,g::r--,g:54321:--x,g:adm:r--,m::rwx,o::---");
	assert_int_equal(e.mode, 0670);
	entry_done(&e);
	assert_carried("f", "g");
	shell("setfacl -b f && chmod 600 f");
	assert_carried("f", "g");
	shell("mkdir d e && setfacl -d -m u:daemon:rwx,m::rx d");
	e = read_one("d");
	assert_string_equal(attr(&e, "acl.default"), "u::rwx,u:daemon:rwx,g::r-x,m::r-x,o::r-x");
	entry_done(&e);
	assert_carried("d", "e");
	/* What a folder hands on is taken away again. */
	shell("touch d/new && getfacl -c d/new | grep -q daemon");
	assert_carried("f", "d/new");
}

static void test_acl_faults(void **state)
{
	static const char *const texts[] = {"", "u::rw-", "u::rw-,g::r--,o::---,",
		"u::rw-,g::r--,o", "u::rw-,g::r--,o::--", "u::rw-,g::r--,o::---x",
		"u::rw-,g::r--,o::-r-", "x::rw-,g::r--,o::---", "u::rw-,g::r--,o:root:---",
		"u::rw-,u:root:r--,g::r--,o::---", "u::rw-,u::rw-,g::r--,o::---",
		"user::rw-,g::r--,o::---", "::", "u::rw-,g::r--,u:99999999999:r--,m::rw-,o::---",
		"u::rw-,g::r--,u:-1:r--,m::rw-,o::---"};
	CLEANUP_FD int fd = -1;

	(void)state;
	shell("touch f && chmod 0600 f");
	fd = open_one("f");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(meta_acl_check(names, texts[i], &err) < 0);
		assert_true(meta_acl_write(names, fd, false, texts[i], &err) < 0);
	}
	assert_int_equal(
		meta_acl_check(names, "u::rw-,u:no-such:r--,g::r--,m::r--,o::---", &err), -ENOENT);
	assert_string_equal(err.text, "there is no user no-such on this node");
	assert_int_equal(meta_acl_write(names, fd, true, "u::rw-,g::r--,o::---", &err), -EACCES);
	assert_int_equal(meta_acl_write(names, fd, false, "u::rw-,g::r--,o::---", &err), 0);
	shell("test $(stat -c %%a f) = 640");
}

/* What cannot be had here is said before anything is changed. */
static void test_check(void **state)
{
	struct entry e = sample_entry(MANIFEST_FILE, "/f");

	(void)state;
	assert_int_equal(meta_check(names, &e, &err), 0);
	snprintf(e.owner, sizeof(e.owner), "no-such");
	assert_int_equal(meta_check(names, &e, &err), -ENOENT);
	assert_string_equal(err.text, "there is no user no-such on this node");
	snprintf(e.owner, sizeof(e.owner), "root");
	snprintf(e.group, sizeof(e.group), "no\ngroup");
	assert_int_equal(meta_check(names, &e, &err), -ENOENT);
	assert_string_equal(err.text, "there is no group no\\x0agroup on this node");
	snprintf(e.group, sizeof(e.group), "1"); /* daemon */
	assert_int_equal(meta_check(names, &e, &err), -EINVAL);
	assert_non_null(strstr(err.text, "group 1 is called daemon on this node"));
	snprintf(e.group, sizeof(e.group), "4294967295");
	assert_int_equal(meta_check(names, &e, &err), -EINVAL);
	snprintf(e.group, sizeof(e.group), "54321");
	assert_int_equal(meta_check(names, &e, &err), 0);
	entry_done(&e);
}

/* A peer may name what it likes. */
static void test_refused_attributes(void **state)
{
	static const char *const bad[] = {"security.selinux", "trusted.overlay.opaque",
		"system.posix_acl_access", "user.", "user", "", "acl", "acl.other"};

	(void)state;
	shell("touch f");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct entry e = sample_entry(MANIFEST_FILE, "/f");

		sample_attr(&e, bad[i], "x", 1);
		assert_int_equal(meta_check(names, &e, &err), -EPERM);
		assert_int_equal(apply_to("f", &e), -EPERM);
		entry_done(&e);
	}
	for (int i = 0; i < 2; i++) {
		struct entry e = sample_entry(MANIFEST_FILE, "/f");
		const char text[] = "u::rw-,g::r--,o::---\0more";

		if (i == 0)
			sample_attr(&e, "acl.access", text, sizeof(text));
		else
			sample_attr(&e, "acl.default", text, strlen(text));
		assert_int_equal(meta_check(names, &e, &err), -EINVAL);
		assert_true(apply_to("f", &e) < 0);
		entry_done(&e);
	}
}

static void test_names(void **state)
{
	char text[MANIFEST_NAME_MAX];
	unsigned id = 99;

	(void)state;
	for (int i = 0; i < 2; i++) { /* asked, and remembered */
		assert_int_equal(meta_names_text(names, META_USER, 0, text), 0);
		assert_string_equal(text, "root");
		assert_int_equal(meta_names_text(names, META_GROUP, 4, text), 0);
		assert_string_equal(text, "adm");
		assert_int_equal(meta_names_text(names, META_USER, 4294967294u, text), 0);
		assert_string_equal(text, "4294967294");
		assert_int_equal(meta_names_id(names, META_GROUP, "adm", &id, &err), 0);
		assert_int_equal(id, 4);
		assert_int_equal(meta_names_id(names, META_USER, "0", &id, &err), 0);
		assert_int_equal(id, 0);
		assert_int_equal(meta_names_id(names, META_USER, "", &id, &err), -ENOENT);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_owner_and_mode),
		T(test_types),
		T(test_attributes),
		T(test_acl),
		T(test_acl_faults),
		T(test_check),
		T(test_refused_attributes),
		T(test_names),
	};

	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}

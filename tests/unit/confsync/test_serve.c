/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile peer: what it offers is refused, and nothing changes; what it asks for that is not a
 * set's is not given. It speaks the protocol well, as n1 to n2.
 */
#include "duo.h"

#include "need.h"
#include "sample.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct duo duo;
static struct plan_side there;    /* n2's side, as it says it */
static struct generation offered; /* by offer() */
static char expected[200];        /* in the refusal */
static struct config_node nodes[] = {{.name = (char[]){"n1"}}, {.name = (char[]){"n2"}}};
static const struct config here = {.self = &nodes[0], .peer = &nodes[1]};

static int set_up(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	duo_init(&duo, "writer = 'any'");
	return duo_shell(&duo, 2, "echo one >a; ln -s /etc link; rm link; cp -a . $D/before");
}

static int tear_down(void **state)
{
	(void)state;
	if (geteuid() == 0)
		duo_done(&duo);
	return 0;
}

static void path_of(char *out, size_t room, const char *name)
{
	if (name[0] == '/')
		snprintf(out, room, "%s", name);
	else
		snprintf(out, room, "%s/files/etc/%s", duo.temp.folder, name);
}

/* A generation of n1's with one more entry, which a test then makes worse. */
static struct entry *begin(enum manifest_type type, const char *name)
{
	char path[TEMP_PATH_MAX + 64];

	generation_init(&offered);
	snprintf(offered.set, sizeof(offered.set), "t");
	snprintf(offered.transaction, sizeof(offered.transaction), "0123456789abcdef");
	snprintf(offered.origin, sizeof(offered.origin), "n1");
	offered.number = 1;
	assert_int_equal(vector_bump(&offered.vector, "n1"), 0);
	path_of(path, sizeof(path), name);
	sample_add(&offered.files, type, path);
	return &offered.files.entries[0];
}

static int hello(struct talk *t)
{
	struct message m = {.kind = MESSAGE_STATE_ASK, .set = "t"};
	struct err err = {0};

	assert_int_equal(talk_hello(t, &here, false, &err), 0);
	assert_int_equal(talk_send(t, &m, &err), 0);
	assert_int_equal(talk_expect(t, MESSAGE_STATE, &m, &err), 0);
	there = m.side;
	message_done(&m);
	return 0;
}

/* The offer must be refused; the conversation goes on. */
static int offer(struct duo *d, struct talk *t)
{
	struct message m = {.kind = MESSAGE_OFFER, .set = "t", .set_aside = true};
	struct err err = {0};

	(void)d;
	hello(t);
	m.number = there.number;
	memcpy(m.hash, there.digest, MANIFEST_HASH);
	snprintf(m.set, sizeof(m.set), "%s", offered.set);
	snprintf(m.transaction, sizeof(m.transaction), "%s", offered.transaction);
	assert_int_equal(talk_send(t, &m, &err), 0);
	assert_int_equal(talk_send_generation(t, &offered, &err), 0);
	assert_int_equal(talk_expect(t, MESSAGE_NEED, &m, &err), -EREMOTEIO);
	if (!strstr(err.text, expected))
		print_error("%s\n", err.text);
	assert_non_null(strstr(err.text, expected));
	return talk_dead(t);
}

static void must_refuse(const char *why)
{
	snprintf(expected, sizeof(expected), "%s", why);
	assert_int_equal(manifest_digest(&offered.files, offered.digest), 0);
	assert_int_equal(duo_against(&duo, 2, offer), 0);
	generation_done(&offered);
	assert_int_equal(duo_shell(&duo, 2, "diff -r . $D/before"), 0);
}

static void test_paths(void **state)
{
	static const char *const paths[] = {
		"/etc/passwd", "/etc/cron.d/x", "a~", ".xnbd-confsync.x", "sub/.a.swp"};

	(void)state;
	need_root();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		begin(MANIFEST_FILE, paths[i]);
		must_refuse("is not part of set t here");
	}
}

#define ACL "u::rw-,u:daemon:r--,g::---,m::r--,o::---"

static void test_entries(void **state)
{
	struct entry *e;

	(void)state;
	need_root();
	begin(MANIFEST_LINK, "x");
	must_refuse("a symbolic link, which set t has not");
	e = begin(MANIFEST_FILE, "x");
	strcpy(e->owner, "no-such-user");
	must_refuse("no-such-user");
	e = begin(MANIFEST_FILE, "x");
	e->size = UINT64_C(1) << 40;
	must_refuse("more than 10000 files or 1024 MiB");
	begin(MANIFEST_FILE, "x");
	sample_add(&offered.files, MANIFEST_FILE, "/y");
	offered.files.entries[1].size = 77;
	memcpy(offered.files.entries[1].hash, offered.files.entries[0].hash, MANIFEST_HASH);
	must_refuse("two sizes");
	e = begin(MANIFEST_FILE, "x");
	e->mode = 02755;
	must_refuse("/x: is setuid or setgid");
	e = begin(MANIFEST_FILE, "x");
	sample_attr(e, "security.capability", "\0\0\0\2", 4);
	must_refuse("/x: has capabilities");
	duo_keys(&duo, 2, "writer = 'any' kind = 'secret'");
	assert_int_equal(
		duo_shell(&duo, 2, "chmod 700 .; chmod 600 a; rm -r $D/before; cp -a . $D/before"),
		0);
	begin(MANIFEST_FILE, "x"); /* 0644 */
	must_refuse("the set is secret: at most 0600");
	duo_keys(&duo, 2, "writer = 'any' mode = '0600'");
	begin(MANIFEST_FILE, "x");
	must_refuse("the set's rule here is 0600");
	e = begin(MANIFEST_FILE, "x");
	e->mode = 0600;
	sample_attr(e, "acl.access", ACL, strlen(ACL));
	must_refuse("has an access control list, but the set has a rule for its mode");
}

static void test_generations(void **state)
{
	(void)state;
	need_root();
	begin(MANIFEST_FILE, "x");
	snprintf(offered.set, sizeof(offered.set), "other");
	must_refuse("there is no set other");
	begin(MANIFEST_FILE, "x");
	offered.vector = (struct vector){0};
	assert_int_equal(vector_bump(&offered.vector, "n7"), 0);
	must_refuse("has a number or a node that cannot be");
	begin(MANIFEST_FILE, "x");
	offered.number = UINT64_C(1) << 60;
	must_refuse("has a number or a node that cannot be");
}

/* The offer M, and what the file PATH has as the content of its second entry; n2 refuses it. */
static int push(struct talk *t, struct message m, const char *path)
{
	const struct entry *e = &offered.files.entries[1];
	struct err err = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	hello(t);
	m.number = there.number;
	memcpy(m.hash, there.digest, MANIFEST_HASH);
	snprintf(m.transaction, sizeof(m.transaction), "%s", offered.transaction);
	assert_int_equal(talk_send(t, &m, &err), 0);
	assert_int_equal(talk_send_generation(t, &offered, &err), 0);
	m = (struct message){0};
	if (talk_expect(t, MESSAGE_NEED, &m, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(m.count, 1);
	do {
		assert_int_equal(talk_expect(t, MESSAGE_HASHES, &m, &err), 0);
		message_done(&m);
	} while (m.count > 0);
	assert_int_equal(talk_send_data(t, e->hash, e->size, fd, &err), 0);
	close(fd);
	assert_int_equal(talk_expect(t, MESSAGE_PREPARED, &m, &err), -EREMOTEIO);
	return talk_dead(t);
}

static int lie(struct duo *d, struct talk *t)
{
	const struct message m = {.kind = MESSAGE_OFFER, .set = "t", .set_aside = true};

	return push(t, m,
		temp_file(&d->temp, "lie",
			"not what it says, by far and wide, but of some length, as are the names "
			"of folders of tests"));
}

static void test_content(void **state)
{
	char folder[TEMP_PATH_MAX + 64];

	(void)state;
	need_root();
	duo_keys(&duo, 2, "writer = 'any' exclude = {'a'}");
	begin(MANIFEST_FILE, "x");
	path_of(folder, sizeof(folder), "");
	folder[strlen(folder) - 1] = 0;
	sample_add(&offered.files, MANIFEST_FOLDER, folder);
	offered.files.entries[1].size = 40;
	assert_int_equal(manifest_digest(&offered.files, offered.digest), 0);
	assert_int_equal(duo_against(&duo, 2, lie), 0);
	generation_done(&offered);
	assert_int_equal(duo_shell(&duo, 2, "diff -r . $D/before"), 0);
}

/* A whole offer of a content that is stored, and then refused by the validator. */
static int waste(struct duo *d, struct talk *t)
{
	const struct message m = {.kind = MESSAGE_OFFER, .set = "t"};

	return push(t, m, temp_path(&d->temp, "waste"));
}

/* Contents of offers that come to nothing do not fill the disk. */
static void test_waste(void **state)
{
	char text[32], folder[TEMP_PATH_MAX + 64];

	(void)state;
	need_root();
	duo_keys(&duo, 2, "writer = 'any' exclude = {'a'} validate = 'false'");
	for (int i = 0; i < 3; i++) {
		struct entry *e;

		begin(MANIFEST_FILE, "x");
		path_of(folder, sizeof(folder), "");
		folder[strlen(folder) - 1] = 0;
		sample_add(&offered.files, MANIFEST_FOLDER, folder);
		e = &offered.files.entries[1];
		e->size = (uint64_t)snprintf(text, sizeof(text), "waste %d", i);
		temp_file(&duo.temp, "waste", text);
		assert_int_equal(
			EVP_Digest(text, (size_t)e->size, e->hash, NULL, EVP_sha256(), NULL), 1);
		assert_int_equal(manifest_digest(&offered.files, offered.digest), 0);
		assert_int_equal(duo_against(&duo, 2, waste), 0);
		generation_done(&offered);
	}
	assert_int_equal(
		duo_shell(&duo, 2, "test $(find $D/state2/t/objects -type f | wc -l) = 1"), 0);
}

/* What does not follow the protocol ends the conversation, and nothing else. */
static int ask_nonsense(struct duo *d, struct talk *t)
{
	struct message m = {.kind = MESSAGE_COMMIT};
	struct err err = {0};

	(void)d;
	hello(t);
	assert_int_equal(talk_send(t, &m, &err), 0);
	return talk_receive(t, &m, &err);
}

static int ask_for_others(struct duo *d, struct talk *t)
{
	struct message m = {.kind = MESSAGE_GET, .set = "t"};
	struct err err = {0};

	(void)d;
	hello(t);
	memset(m.hash, 0x5a, sizeof(m.hash));
	assert_int_equal(talk_send(t, &m, &err), 0);
	return talk_expect(t, MESSAGE_DATA, &m, &err);
}

/* Numbers that nothing can follow: what would be made of them could not be read again. */
static int ask_for_too_much(struct duo *d, struct talk *t)
{
	struct message m = {.kind = MESSAGE_FETCH, .set = "t", .publish = true};
	struct err err = {0};

	(void)d;
	hello(t);
	m.number = VECTOR_COUNT_MAX;
	memcpy(m.hash, there.digest, MANIFEST_HASH);
	assert_int_equal(talk_send(t, &m, &err), 0);
	assert_int_equal(talk_expect(t, MESSAGE_OFFER, &m, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "has a number or a node that cannot be"));
	return talk_dead(t);
}

static void test_numbers(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(duo_against(&duo, 2, ask_for_too_much), 0);
	assert_int_equal(duo_against(&duo, 2, ask_for_others), -EREMOTEIO);
}

static void test_questions(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(duo_against(&duo, 2, ask_nonsense), -ECONNRESET);
	assert_int_equal(duo_against(&duo, 2, ask_for_others), -EREMOTEIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_paths),
		TEST(test_entries),
		TEST(test_generations),
		TEST(test_content),
		TEST(test_waste),
		TEST(test_numbers),
		TEST(test_questions),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}

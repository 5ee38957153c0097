/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xnbd.conf as a whole: what it sets, its faults, dumps that read to the same. */
#include "config.h"
#include "log.h"
#include "rnd.h"
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

static struct config *read_well(struct config *c, const char *text)
{
	struct conf faults;

	if (config_read(temp_file(&temp, "x.conf", text), c, &faults) < 0)
		fail_msg("%s\n%s", text, faults.faults[0]);
	assert_int_equal(faults.fault_count, 0);
	conf_done(&faults);
	return c;
}

static void test_empty(void **state)
{
	struct config c;

	(void)state;
	read_well(&c, "");
	assert_int_equal(c.count, 0);
	assert_int_equal(c.wrapper.max_clients, 16384);
	assert_int_equal(c.wrapper.handshake_timeout, 10);
	assert_int_equal(c.wrapper.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.wrapper.busy_poll, 50);
	assert_int_equal(c.wrapper.listen.count, 0);
	assert_null(c.wrapper.control);
	config_free(&c);
	config_free(&c);
}

static const char everything[] =
	"wrapper {\n"
	"	listen = {'192.0.2.1:8520', '[::1]:10809', '*:1', '/run/nbd.sock'}\n"
	"	control = /run/c control-group = root user = root group = root\n"
	"	run-directory = /run/x state-file = /var/s xnbd-server = xs\n"
	"	log = {syslog, /var/log/x} log-level = debug\n"
	"	max-clients = 1 max-clients-per-peer = 2 handshake-timeout = 3 idle-timeout = 4\n"
	"	poll-sizes = 5 metrics = '127.0.0.1:9' allow = all deny = {'192.0.2.0/24', unix}\n"
	"	readonly = yes cow = yes direct = yes cow-dir = /c engine = threads busy-poll = 0\n"
	"	max-queue-size = 6 max-buf-size = 7M\n"
	"}\n"
	"defaults { idle-timeout = 7 cow-block = 128K allow = {'uid:1'} }\n"
	"export t { image = /t readonly = true description = 'd' default = true serial = s\n"
	"	block-min = 512 block-preferred = 4K block-max = 1M threads = 2 max-clients = 3\n"
	"	limit-requests = 4 limit-bandwidth = 5M deny = all readonly-for = unix\n"
	"	exclusive = 'writer, others readonly' allow = {} }\n"
	"export c { mode = cow-target image = /c cow-dir = /d }\n"
	"export p { mode = proxy cache = /p origin = 'nbd://h' origin-timeout = 1\n"
	"	origin-wait = 2 origin-connections = 3 bitmap = /b control = /s idle-timeout = 9 }\n"
	"export q { mode = proxy cache = /q host = h port = 8520 exportname = n }\n";

static void test_everything(void **state)
{
	const struct wrapper_config *w;
	struct config c;

	(void)state;
	w = &read_well(&c, everything)->wrapper;
	assert_int_equal(w->listen.count, 4);
	assert_string_equal(w->log.items[1], "/var/log/x");
	assert_int_equal(w->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(w->engine, 2);
	assert_int_equal(w->max_buf_size, 7 << 20);
	assert_true(w->readonly && w->cow && w->direct && w->busy_poll == 0);
	assert_int_equal(w->deny.count, 2);
	assert_int_equal(c.count, 4);
	assert_int_equal(c.exports[0].exclusive, EXCLUSIVE_WRITER_OTHERS_READ);
	assert_int_equal(c.exports[0].allow.count, 0); /* taken back */
	assert_int_equal(c.exports[0].cow_block, 0);   /* not of this mode */
	assert_int_equal(c.exports[0].idle_timeout, 7);
	assert_int_equal(c.exports[1].cow_block, 128 << 10);
	assert_int_equal(c.exports[1].allow.count, 1);
	assert_string_equal(c.exports[2].image, "/p");
	assert_int_equal(c.exports[2].idle_timeout, 9);
	assert_string_equal(c.exports[3].port, "8520");
	/* Every key there is stands in the text above. */
	for (size_t i = 0; i < wrapper_keys.count; i++)
		assert_true(key_is_given(&wrapper_keys.keys[i], w));
	for (size_t i = 0; i < export_keys.count; i++) {
		bool given = false;

		for (size_t k = 0; k < c.count; k++)
			given = given || key_is_given(&export_keys.keys[i], &c.exports[k]);
		assert_true(given);
	}
	config_free(&c);
}

static char *dump(const struct config *c)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	config_dump(c, out);
	fclose(out);
	return text;
}

static void check_dump(const struct config *c)
{
	CLEANUP_FREE char *text = dump(c), *again = NULL;
	struct config copy;

	read_well(&copy, text);
	again = dump(&copy);
	assert_string_equal(text, again);
	assert_null(key_difference(&wrapper_keys, &c->wrapper, &copy.wrapper));
	assert_int_equal(copy.count, c->count);
	for (size_t i = 0; i < c->count; i++) {
		assert_string_equal(copy.exports[i].name, c->exports[i].name);
		assert_null(key_difference(&export_keys, &c->exports[i], &copy.exports[i]));
	}
	config_free(&copy);
}

static void test_dumps(void **state)
{
	static const char *const texts[] = {"", everything, "export 'it\\'s' { image = '/a\\\\b' }",
		"export \"\\n${XNBD_NOT_SET:-\xc3\xbc}\\${HOME}\" { image = '/${HOME}' }",
		"defaults { mode = proxy readonly = on origin-wait = 5 }\n"
		"export a { cache = /a host = h port = 1 readonly = off }\n"
		"export b { mode = target image = /b }"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config c;

		check_dump(read_well(&c, texts[i]));
		config_free(&c);
	}
}

/* Random settings. */

static void random_text(struct rnd *r, char *out, size_t max)
{
	static const char *const parts[] = {
		"a", "b", " ", "/", "%s", "'", "\"", "\\", "${x}", "#", "\xc3\xbc", "{", "\n", "="};
	size_t count = 1 + rnd_below(r, max / 4);

	*out = 0;
	while (count--)
		strcat(out, parts[rnd_below(r, ARRAY_LEN(parts))]);
}

/* What is not free to be anything. */
static const char *special(struct rnd *r, const char *name)
{
	static const struct {
		const char *key, *values[3];
	} rows[] = {
		{"listen", {"*:1", "/s", "[::1]:7"}},
		{"log", {"syslog", "journal", "/l"}},
		{"metrics", {"127.0.0.1:1", "*:9", "[::]:9"}},
		{"user", {"root", "root", "nobody"}},
		{"group", {"root", "root", "root"}},
		{"control-group", {"root", "root", "root"}},
		{"block-min", {"1", "512", "4K"}},
		{"block-preferred", {"4K", "64K", "1M"}},
		{"block-max", {"1M", "32M", "64M"}},
		{"cow-block", {"4K", "64K", "1M"}},
		{"origin", {"nbd://h/x", "nbds://h:1/", "nbd+unix:///a?socket=/'"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].key, name) == 0)
			return rows[i].values[rnd_below(r, 3)];
	}
	return NULL;
}

static void random_value(struct rnd *r, const struct key *k, char *out)
{
	static const char *const flags[] = {"true", "no"};
	static const char *const peers[] = {"all", "192.0.2.0/24", "::1", "uid:7"};
	const char *fixed = special(r, k->name);
	size_t choices = 0;

	while (k->choices && k->choices[choices])
		choices++;
	if (fixed)
		strcpy(out, fixed);
	else if (k->type == KEY_FLAG)
		strcpy(out, flags[rnd_below(r, 2)]);
	else if (k->type == KEY_CHOICE)
		strcpy(out, k->choices[rnd_below(r, choices)]);
	else if (k->type == KEY_PEERS)
		strcpy(out, peers[rnd_below(r, ARRAY_LEN(peers))]);
	else if (k->type == KEY_NUMBER || k->type == KEY_SIZE)
		sprintf(out, "%llu",
			(unsigned long long)(k->min + rnd_below(r, k->max - k->min + 1)));
	else
		random_text(r, out, 60);
	if (k->type == KEY_PATH) {
		memmove(out + 1, out, strlen(out) + 1);
		*out = '/';
	}
}

static void random_key(struct rnd *r, const struct key *k, void *object)
{
	bool list = k->type == KEY_TEXTS || k->type == KEY_PEERS;
	char text[256];
	const char *texts[] = {text};
	struct err err;

	random_value(r, k, text);
	if (key_set(k, object, texts, list && rnd_once_in(r, 4) ? 0 : 1, &err) < 0)
		fail_msg("%s = %s: %s", k->name, text, err.text);
}

static bool random_export(struct rnd *r, struct export_config *c, unsigned number)
{
	char name[300];

	random_key(r, key_find(&export_keys, "mode"), c);
	for (size_t i = 0; i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];

		if (k->where & 1U << c->kind && strcmp(k->name, "mode") != 0 &&
			strcmp(k->name, "default") != 0 && rnd_once_in(r, 2))
			random_key(r, k, c);
	}
	random_text(r, name, 100);
	sprintf(name + strlen(name), "%u", number);
	c->name = strdup(name);
	return export_config_check(c, NULL, NULL) == 0;
}

static void test_random_dumps(void **state)
{
	struct rnd r;

	(void)state;
	rnd_init(&r, 1);
	for (unsigned i = 0; i < 200; i++) {
		struct export_config exports[20] = {0};
		struct config c = {.exports = exports};

		key_init_all(&wrapper_keys, &c.wrapper);
		for (size_t k = 0; k < wrapper_keys.count; k++) {
			if (rnd_once_in(&r, 2))
				random_key(&r, &wrapper_keys.keys[k], &c.wrapper);
		}
		if (c.wrapper.group && !c.wrapper.user)
			random_key(&r, key_find(&wrapper_keys, "user"), &c.wrapper);
		for (unsigned k = 0; k < ARRAY_LEN(exports); k++) {
			if (random_export(&r, &exports[c.count], k))
				c.count++;
			else
				export_config_free(&exports[c.count]);
		}
		check_dump(&c);
		for (size_t k = 0; k < c.count; k++)
			export_config_free(&exports[k]);
		key_free_all(&wrapper_keys, &c.wrapper);
	}
}

/* Faults: line and words of each, in this order. */
static const struct {
	const char *text, *want;
} faults[] = {
	{"export x { }", "1: export \"x\": image = \"PATH\" is missing"},
	{"export x {\n image = ''\n}", "2: export \"x\": image: must not be empty"},
	{"export x { image = vm.img }",
		"1: export \"x\": image: \"vm.img\": must be an absolute path"},
	{"export x {\n mode = cow\n image = /a\n}",
		"2: export \"x\": mode: \"cow\": must be \"target\", \"cow-target\" or \"proxy\""},
	{"export x { image = /a\n cow-dir = /b }",
		"2: export \"x\": cow-dir: does not belong to mode \"target\""},
	{"export x { mode = proxy\n image = /a }",
		"2: export \"x\": image: does not belong to mode \"proxy\""},
	{"export x { mode = proxy origin = 'nbd://h' }",
		"1: export \"x\": cache = \"PATH\" is missing"},
	{"export x {\n mode = proxy\n cache = /c\n host = h\n }",
		"4: export \"x\": a proxy needs an origin: a URI, or a host and a port"},
	{"export x { mode = proxy cache = /c\n origin = 'http://h' }",
		"2: export \"x\": origin 'http://h': must be nbd://, nbds://"},
	{"export '' { image = /a }",
		"1: export \"\": the name must not be empty (use default = true)"},
	{"export 'a\xff' { image = /a }",
		"1: export \"a\xff\": export name 'a\xff' is not valid UTF-8"},
	{"export x { image = /a default = true }\nexport y { image = /b\n default = on }",
		"3: export \"y\": default: \"x\" is the default too; choose one"},
	{"export x { image = /a }\nexport y { image = /b }\nexport 'x' { image = /c }",
		"3: export \"x\": is given already, at "},
	{"export x { image = /a\n block-min = 3 }",
		"2: export \"x\": block-min: 3 is not a power of two"},
	{"export x { image = /a\n allow = 'all ' }", "2: export \"x\": allow: 'all ': must be all"},
	{"export x { image = {/a, /b} }",
		"1: export \"x\": image: must be one value, not a list of 2"},
	{"defaults { image = /a }", "1: image: no such key in defaults; there are mode, readonly"},
	{"defaults {\n readonly = maybe }",
		"2: defaults: readonly: \"maybe\": must be true or false"},
	{"defaults {\n block-min = 3 }\nexport a { image = /a }\nexport b { image = /b }",
		"2: defaults: block-min: 3 is not a power of two"},
	{"defaults { block-min = 64K }\nexport a { image = /a\n block-max = 4K }",
		"3: export \"a\": block-max: must not be less than block-min"},
	{"wrapper {\n listen = {'*:1', '8520'}\n}",
		"2: wrapper: listen: \"8520\": must be ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or /PATH"},
	{"wrapper { metrics = /x }", "1: wrapper: metrics: \"/x\": must be ADDRESS:PORT or *:PORT"},
	{"wrapper { log = x }",
		"1: wrapper: log: \"x\": must be stderr, syslog, journal or an absolute path"},
	{"wrapper { log = {stderr, syslog} }", "1: wrapper: log: stderr must be alone"},
	{"wrapper { log = {/a, /b} }", "1: wrapper: log: must be one file, not 2"},
	{"wrapper { log-level = loud }",
		"1: wrapper: log-level: \"loud\": must be \"error\", \"warn\", \"info\" or \"debug\""},
	{"wrapper { user = 'no such' }", "1: wrapper: user: \"no such\": there is no such user"},
	{"wrapper { user = root\n group = 'no such' }",
		"2: wrapper: group: \"no such\": there is no such group"},
	{"wrapper { group = root }", "1: wrapper: group: needs user too"},
	{"wrapper { control-group = '' }", "1: wrapper: control-group: must not be empty"},
	{"wrapper { control-group = 'no such' }",
		"1: wrapper: control-group: \"no such\": there is no such group"},
	{"wrapper { max-clients = 0 }",
		"1: wrapper: max-clients: \"0\": must be a number from 1 to 1000000"},
	{"wrapper { }\nwrapper { }", "2: wrapper: is given already, at "},
	{"wrapper { mode = target }",
		"1: mode: no such key in wrapper; there are listen, control,"},
	/* what is torn is not asked for what it lacks */
	{"export x {\n imag = /a\n}", "2: imag: no such key in export; did you mean image?"},
	{"export x {\n image /a\n}", "2: image: = is missing behind the key"},
};

static void check_faults(const char *text, const char *want)
{
	struct config c = {.count = 77};
	struct conf found;

	assert_int_equal(config_read(temp_file(&temp, "x.conf", text), &c, &found), -EINVAL);
	assert_int_equal(c.count, 0);
	assert_null(c.exports);
	if (found.fault_count != 1 ||
		strncmp(found.faults[0] + strlen(temp.path) + 1, want, strlen(want)) != 0)
		fail_msg("%s\n%zu: %s\nwant: %s", text, found.fault_count, found.faults[0], want);
	conf_done(&found);
}

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		check_faults(faults[i].text, faults[i].want);
}

/* One run tells all of it. */
static void test_all_faults(void **state)
{
	static const char *const want[] = {":2: lissten: no such key", ":8: image: = is missing",
		":6: export \"a\": is given already", ":1: wrapper: log-level: \"x\"",
		":4: defaults: idle-timeout: \"never\"", ":5: export \"a\": image: \"a\"",
		":6: export \"a\": exclusive: \"yes\"",
		":6: export \"a\": cow-dir: does not belong"};
	struct config c;
	struct conf found;

	(void)state;
	temp_file(&temp, "x.conf",
		"wrapper { log-level = x\n"
		"	lissten = 'x' }\n"
		"defaults {\n"
		"	idle-timeout = never }\n"
		"export a { image = a }\n"
		"export a { image = /a exclusive = yes cow-dir = /c }\n"
		"export b { readonly = true\n"
		"	image '/b'\n"
		"}\n"
		"export c { image = /c }\n");
	assert_int_equal(config_read(temp.path, &c, &found), -EINVAL);
	for (size_t i = 0; i < found.fault_count; i++) {
		if (i >= ARRAY_LEN(want) || !strstr(found.faults[i], want[i]))
			fail_msg("%s", found.faults[i]);
	}
	assert_int_equal(found.fault_count, ARRAY_LEN(want));
	conf_done(&found);
}

/* A file that is half written: what is accepted is a whole file that ended there. */
static void test_cuts(void **state)
{
	size_t accepted = 0;

	(void)state;
	for (size_t len = 0; len < strlen(everything); len++) {
		CLEANUP_FREE char *text = strndup(everything, len);
		struct config whole, part;
		struct conf found;
		int r = config_read(temp_file(&temp, "x.conf", text), &part, &found);

		conf_done(&found);
		if (r < 0)
			continue;
		accepted++;
		read_well(&whole, everything);
		if (key_difference(&wrapper_keys, &whole.wrapper, &part.wrapper))
			assert_true(len == 0); /* the section comes first */
		for (size_t i = 0; i < part.count; i++)
			assert_null(
				key_difference(&export_keys, &part.exports[i], &whole.exports[i]));
		config_free(&whole);
		config_free(&part);
	}
	assert_true(accepted >= 6 && accepted < 20);
}

static void test_odd_names(void **state)
{
	char name[4098], text[4200];
	struct config c;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[4097] = 0;
	snprintf(text, sizeof(text), "export '%s' { image = /a }", name);
	check_faults(text, "1: export \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
	name[4096] = 0;
	snprintf(text, sizeof(text), "export '%s' { image = /a }", name);
	read_well(&c, text);
	assert_string_equal(c.exports[0].name, name);
	check_dump(&c);
	config_free(&c);
	read_well(&c,
		"export ' a b ' { image = '/a b' }\nexport '/dev/x' { image = '/%s%n' }\n"
		"export '100%' { image = '/\xc3\xbc' }\nexport '\xf0\x9f\x92\xbe' { image = / }");
	assert_string_equal(c.exports[0].name, " a b ");
	assert_string_equal(c.exports[1].image, "/%s%n");
	assert_string_equal(c.exports[2].name, "100%");
	assert_string_equal(c.exports[3].name, "\xf0\x9f\x92\xbe");
	check_dump(&c);
	config_free(&c);
}

static void test_missing_file(void **state)
{
	struct config c;
	struct conf found;

	(void)state;
	assert_int_equal(config_read(temp_path(&temp, "none"), &c, &found), -EINVAL);
	assert_int_equal(found.fault_count, 1);
	assert_non_null(strstr(found.faults[0], "/none: No such file or directory"));
	conf_done(&found);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < wrapper_keys.count; i++) {
		const struct key *k = &wrapper_keys.keys[i];

		assert_true(k->where & WRAPPER_KEY);
		assert_ptr_equal(key_find(&wrapper_keys, k->name), k);
		assert_true(strlen(k->help) > 10 && k->help[strlen(k->help) - 1] == '.');
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty),
		TEST(test_everything),
		TEST(test_dumps),
		TEST(test_random_dumps),
		TEST(test_faults),
		TEST(test_all_faults),
		TEST(test_cuts),
		TEST(test_odd_names),
		TEST(test_missing_file),
		TEST(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

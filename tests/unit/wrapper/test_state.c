/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state file: its exact form, each format error with its words and nothing changed by it, and
 * that nothing a file says is ever dropped.
 */
#include "fsutil.h"
#include "log.h"
#include "state.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct temp temp;
static struct exports t;
static unsigned warnings;
static char warning[1024]; /* the last one */

static void take_line(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)about;
	assert_int_equal(level, LOG_LEVEL_WARN);
	warnings++;
	snprintf(warning, sizeof(warning), "%s", text);
}

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	t = (struct exports){0};
	warnings = 0;
	log_to_function(take_line);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&t);
	temp_done(&temp);
	return 0;
}

static int load(const char *content, struct err *err)
{
	*err = (struct err){0};
	return state_load(temp_file(&temp, "state", content), &t, err);
}

static void load_well(const char *content)
{
	struct err err;

	if (load(content, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(err.code, 0);
}

static void check_saved(const char *want)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	assert_int_equal(state_save(temp_path(&temp, "saved"), &t, NULL), 0);
	assert_int_equal(fs_read(temp.path, STATE_BYTES_MAX, &text, &len, NULL), 0);
	assert_string_equal(text, want);
}

static void add(const char *name, const char *image, const char *description, bool readonly,
	enum export_source source)
{
	const struct export_config spec = {.name = name,
		.image = image,
		.description = description,
		.readonly = readonly,
		.source = source};

	assert_int_equal(exports_add(&t, &spec, NULL, NULL), 0);
}

#define STATE(images)  "{\"version\": 2, \"images\": {" images "}}"
#define TARGET(rest)   "{\"mode\": \"target\", \"image_path\": \"/dev/null\"" rest "}"
#define PROXY(rest)    "{\"mode\": \"proxy\", \"image_path\": \"/c\"" rest "}"
#define EMPTY_STATE    "{\n    \"images\": {},\n    \"version\": 2\n}"
#define ONE_STATE(one) "{\n    \"images\": {\n" one "\n    },\n    \"version\": 2\n}"

/* Keys in order, four blanks a level: what the system before us wrote, byte for byte. */
static void test_form(void **state)
{
	struct stat st;

	(void)state;
	add("vm2", "/srv/vm 2.img", "says \"gr\xc3\xbc\xc3\x9f\"", true, EXPORT_FROM_STATE);
	add("vm1", "/srv/vm1.img", NULL, false, EXPORT_FROM_STATE);
	check_saved("{\n"
		    "    \"images\": {\n"
		    "        \"vm1\": {\n"
		    "            \"image_path\": \"/srv/vm1.img\",\n"
		    "            \"mode\": \"target\"\n"
		    "        },\n"
		    "        \"vm2\": {\n"
		    "            \"description\": \"says \\\"gr\xc3\xbc\xc3\x9f\\\"\",\n"
		    "            \"image_path\": \"/srv/vm 2.img\",\n"
		    "            \"mode\": \"target\",\n"
		    "            \"readonly\": true\n"
		    "        }\n"
		    "    },\n"
		    "    \"version\": 2\n"
		    "}");
	assert_int_equal(stat(temp_path(&temp, "saved"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void check_entry(const char *name, const char *image, const char *description, bool readonly)
{
	const struct export_entry *e = exports_by_name(&t, name);

	assert_non_null(e);
	assert_string_equal(e->config.image, image);
	assert_int_equal(e->config.readonly, readonly);
	assert_int_equal(e->config.source, EXPORT_FROM_STATE);
	assert_int_equal(!!e->config.description, !!description);
	if (description)
		assert_string_equal(e->config.description, description);
}

static void test_round_trip(void **state)
{
	static const char odd[] = "/n\xc3\xa4me \\ with \"all\"\n\t\x01";

	(void)state;
	add("a", "/dev/null", NULL, false, EXPORT_FROM_STATE);
	add(odd, "/dev/zero", "", true, EXPORT_FROM_STATE);
	add("c", "/dev/full", "two\nlines \xe2\x82\xac", false, EXPORT_FROM_STATE);
	assert_int_equal(state_save(temp_path(&temp, "state"), &t, NULL), 0);
	exports_done(&t);
	assert_int_equal(state_load(temp_path(&temp, "state"), &t, NULL), 0);
	assert_int_equal(t.count, 3);
	check_entry("a", "/dev/null", NULL, false);
	check_entry(odd, "/dev/zero", "", true);
	check_entry("c", "/dev/full", "two\nlines \xe2\x82\xac", false);
	assert_null(t.foreign);
	assert_int_equal(warnings, 0);
}

static void test_missing_file(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(state_load(temp_path(&temp, "none"), &t, &err), 0);
	assert_int_equal(state_load(temp_path(&temp, "no/folder"), &t, &err), 0);
	assert_int_equal(t.count, 0);
	assert_int_equal(warnings, 0);
	check_saved(EMPTY_STATE);
	load_well(STATE(""));
	assert_int_equal(t.count, 0);
}

/* The optional keys may also say the usual. */
static void test_optional_keys(void **state)
{
	(void)state;
	load_well(STATE("\"a\": " TARGET(
		", \"readonly\": false, \"description\": \"\"") ", "
								"\"b\": " TARGET(
									", \"readonly\": true, \"description\": \"b it is\"")));
	check_entry("a", "/dev/null", "", false);
	check_entry("b", "/dev/null", "b it is", true);
}

/* Each error comes behind a good entry and a foreign one, which must not stay either. */
#define BAD(entry)                                                                                 \
	STATE("\"first\": " TARGET("") ", \"second\": {\"mode\": \"later\"}, \"bad\": " entry)

static const struct {
	const char *content, *says;
} faults[] = {
	{"", ": empty; remove it to begin with no exports"},
	{"\n\n{", "state:3: "},
	{STATE("") "x", "state:1: end of file expected"},
	{STATE("\"a\": " TARGET("") ", \"a\": " TARGET("")), "duplicate object key"},
	{"[]", ": not a state file of version 2 (\"version\": 2)"},
	{"{\"images\": {}}", ": not a state file of version 2"},
	{"{\"version\": 3, \"images\": {}}", ": not a state file of version 2"},
	{"{\"version\": \"2\", \"images\": {}}", ": not a state file of version 2"},
	{"{\"version\": 2}", ": \"images\" must be an object"},
	{"{\"version\": 2, \"images\": []}", ": \"images\" must be an object"},
	{BAD("{}"), ": image 'bad': \"mode\" is missing"},
	{BAD("{\"mode\": 1}"), ": image 'bad': \"mode\" is missing"},
	{BAD("{\"mode\": \"target\"}"), ": image 'bad': \"image_path\" is missing"},
	{BAD("{\"mode\": \"target\", \"image_path\": \"\"}"), "\"image_path\" is missing"},
	{BAD("{\"mode\": \"target\", \"image_path\": [\"/a\"]}"), "\"image_path\" is missing"},
	{BAD("{\"mode\": \"target\", \"image_path\": \"/\\u0000\"}"), "state:1: \\u0000"},
	{BAD(TARGET(", \"readonly\": \"yes\"")), "image 'bad': \"readonly\" must be true or false"},
	{BAD(TARGET(", \"readonly\": 1")), "image 'bad': \"readonly\" must be true or false"},
	{BAD(TARGET(", \"description\": 5")), "image 'bad': \"description\" must be a text"},
	{STATE("\"a\": " TARGET("") ", \"\": " TARGET("")), "an export name must not be empty"},
	{BAD(TARGET(", \"cow_dir\": 5")), "image 'bad': \"cow_dir\" must be a text"},
	{BAD("{\"mode\": \"proxy\"}"), "\"image_path\" is missing"},
	{BAD(PROXY("")), "image 'bad': export 'bad': a proxy needs an origin"},
	{BAD(PROXY(", \"remote_host\": \"h\"")), "a proxy needs an origin"},
	{BAD(PROXY(", \"remote_host\": 5")), "\"remote_host\" must be a text"},
	{BAD(PROXY(", \"origin_uri\": \"ftp://h\"")), "origin 'ftp://h': must be nbd://"},
	{BAD(PROXY(", \"origin_uri\": \"nbd://h\", \"bitmap_path\": []")),
		"\"bitmap_path\" must be a text"},
	{BAD(PROXY(", \"origin_uri\": \"nbd://h\", \"copy\": true")), "\"copy\" must have"},
	{BAD(PROXY(", \"origin_uri\": \"nbd://h\", \"copy\": {\"state\": \"perhaps\"}")),
		"\"copy\" must have"},
	{BAD(PROXY(
		 ", \"origin_uri\": \"nbd://h\", \"copy\": {\"state\": \"running\", \"rate\": -1}")),
		"\"copy\" must have"},
	{BAD(TARGET(", \"migration\": 7")), "\"migration\" must be an object"},
	{BAD("\"\xff\""), "state:1: "},
	{STATE("\"a\": " TARGET("") ", \"\xc3\": " TARGET("")), "state:1: "},
};

static void check_refused(const char *content, const char *says)
{
	struct err err;
	int ret = load(content, &err);

	if (ret != -EINVAL || err.code != EINVAL || !strstr(err.text, says))
		fail_msg("%s: %d '%s' does not say '%s'", content, ret, err.text, says);
	assert_memory_equal(err.text, temp.path, strlen(temp.path));
	assert_null(strchr(err.text, '\n'));
}

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		check_refused(faults[i].content, faults[i].says);
		if (t.count || t.last_id || t.foreign)
			fail_msg("%s: left something behind", faults[i].content);
	}
}

/* The same, with something in the table already. */
static void test_faults_change_nothing(void **state)
{
	json_t *before = json_pack("{s:{s:s}}", "old", "mode", "cow");

	(void)state;
	add("mine", "/dev/null", NULL, false, EXPORT_FROM_OPTION);
	t.foreign = json_deep_copy(before);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		check_refused(faults[i].content, faults[i].says);
		assert_int_equal(t.count, 1);
		assert_string_equal(t.entries[0].config.name, "mine");
		assert_int_equal(t.last_id, 1);
		assert_true(json_equal(t.foreign, before));
	}
	json_decref(before);
}

static void check_too_long(const char *before, const char *behind, const char *says)
{
	char text[4097 + 1], content[8192];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	snprintf(content, sizeof(content), STATE("%s%s%s"), before, text, behind);
	check_refused(content, says);
	assert_int_equal(t.count, 0);
}

static void test_too_long(void **state)
{
	(void)state;
	check_too_long("\"", "\": " TARGET(""), "export name of 4097 bytes");
	check_too_long("\"a\": {\"mode\": \"target\", \"image_path\": \"/a\", \"description\": \"",
		"\"}", "export 'a': description: 4097 bytes: at most 4096");
}

static void test_no_state_file(void **state)
{
	struct err err = {0};
	int fd = open(temp_path(&temp, "big"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(ftruncate(fd, STATE_BYTES_MAX + 1L), 0);
	close(fd);
	assert_int_equal(state_load(temp.path, &t, &err), -EFBIG);
	assert_non_null(strstr(err.text, "/big: larger than 67108864 bytes"));
	assert_int_equal(state_load(temp.folder, &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(mkfifo(temp_path(&temp, "fifo"), 0600), 0);
	assert_int_equal(state_load(temp.path, &t, &err), -EINVAL);
	assert_int_equal(t.count, 0);
}

/* Entries of what this version cannot serve come out as they went in. */
static void test_foreign_modes(void **state)
{
	static const char later[] = "        \"p\": {\n"
				    "            \"cache\": [\n"
				    "                1,\n"
				    "                null,\n"
				    "                {}\n"
				    "            ],\n"
				    "            \"image_path\": 7,\n"
				    "            \"mode\": \"later\"\n"
				    "        }";
	char want[512];

	(void)state;
	snprintf(want, sizeof(want), ONE_STATE("%s"), later);
	load_well(want);
	assert_int_equal(t.count, 0);
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(warning, ": mode later is not known; the entry is kept"));
	check_saved(want);
	add("q", "/q", NULL, false, EXPORT_FROM_STATE);
	snprintf(want, sizeof(want), ONE_STATE("%s,\n%s"), later,
		"        \"q\": {\n"
		"            \"image_path\": \"/q\",\n"
		"            \"mode\": \"target\"\n"
		"        }");
	check_saved(want);
}

/* Proxies as the original wrote them come out as they went in. */
static void test_proxy_of_the_original(void **state)
{
	static const char content[] = ONE_STATE("        \"p\": {\n"
						"            \"bitmap_path\": \"/b\",\n"
						"            \"control_socket_path\": \"/s\",\n"
						"            \"image_path\": \"/c\",\n"
						"            \"mode\": \"proxy\",\n"
						"            \"remote_export_name\": null,\n"
						"            \"remote_host\": \"h\",\n"
						"            \"remote_port\": \"8520\"\n"
						"        }");
	const struct export_entry *e;

	(void)state;
	load_well(content);
	e = exports_by_name(&t, "p");
	assert_int_equal(e->config.kind, EXPORT_PROXY);
	assert_string_equal(e->config.image, "/c");
	assert_string_equal(e->config.bitmap, "/b");
	assert_string_equal(e->config.control, "/s");
	assert_string_equal(e->config.host, "h");
	assert_string_equal(e->config.port, "8520");
	assert_null(e->config.exportname);
	assert_int_equal(warnings, 0);
	check_saved(content);
}

static void test_port_as_number(void **state)
{
	(void)state;
	load_well(STATE("\"p\": " PROXY(
		", \"remote_host\": \"h\", \"remote_port\": 8520, \"remote_export_name\": \"n\"")));
	assert_string_equal(t.entries[0].config.port, "8520");
	assert_string_equal(t.entries[0].config.exportname, "n");
	assert_string_equal(t.entries[0].config.bitmap, "/c.bitmap");
}

/* A copy and a migration under way. */
static void test_proxy_by_uri(void **state)
{
	static const char content[] = ONE_STATE("        \"p\": {\n"
						"            \"bitmap_path\": \"/b\",\n"
						"            \"copy\": {\n"
						"                \"rate\": 1048576,\n"
						"                \"state\": \"paused\"\n"
						"            },\n"
						"            \"image_path\": \"/c\",\n"
						"            \"migration\": {\n"
						"                \"phase\": \"copying\",\n"
						"                \"what\": [\n"
						"                    1\n"
						"                ]\n"
						"            },\n"
						"            \"mode\": \"proxy\",\n"
						"            \"origin_uri\": \"nbd://h:1/n\"\n"
						"        }");

	(void)state;
	load_well(content);
	assert_string_equal(t.entries[0].config.uri, "nbd://h:1/n");
	assert_int_equal(t.entries[0].copy, EXPORT_COPY_PAUSED);
	assert_int_equal(t.entries[0].copy_rate, 1048576);
	assert_non_null(t.entries[0].migration);
	check_saved(content);
}

static void test_switched_proxy(void **state)
{
	(void)state;
	load_well(STATE("\"p\": " PROXY(
		", \"origin_uri\": \"nbd://h\", \"copy\": {\"state\": \"running\"}")));
	assert_int_equal(t.entries[0].copy, EXPORT_COPY_RUNNING);
	exports_become_target(&t.entries[0]);
	check_saved(ONE_STATE("        \"p\": {\n"
			      "            \"image_path\": \"/c\",\n"
			      "            \"mode\": \"target\"\n"
			      "        }"));
}

static void test_cow_target(void **state)
{
	static const char content[] = ONE_STATE("        \"c\": {\n"
						"            \"cow_dir\": \"/tmp\",\n"
						"            \"image_path\": \"/dev/null\",\n"
						"            \"mode\": \"cow-target\"\n"
						"        }");

	(void)state;
	load_well(content);
	assert_int_equal(t.entries[0].config.kind, EXPORT_COW);
	assert_string_equal(t.entries[0].config.cow_dir, "/tmp");
	check_saved(content);
}

/* What is derived from an export is not in the file. */
/* Keys without a name of their own, by the table. */
static void test_settings(void **state)
{
	static const char content[] = "{\n"
				      "    \"images\": {\n"
				      "        \"a\": {\n"
				      "            \"image_path\": \"/dev/null\",\n"
				      "            \"mode\": \"target\",\n"
				      "            \"settings\": {\n"
				      "                \"allow\": [\n"
				      "                    \"192.0.2.0/24\",\n"
				      "                    \"unix\"\n"
				      "                ],\n"
				      "                \"block-min\": [\n"
				      "                    \"4K\"\n"
				      "                ],\n"
				      "                \"exclusive\": [\n"
				      "                    \"writer, others readonly\"\n"
				      "                ],\n"
				      "                \"serial\": [\n"
				      "                    \"s1\"\n"
				      "                ],\n"
				      "                \"threads\": [\n"
				      "                    \"2\"\n"
				      "                ]\n"
				      "            }\n"
				      "        }\n"
				      "    },\n"
				      "    \"version\": 2\n"
				      "}";
	const struct export_config *c;

	(void)state;
	load_well(content);
	c = &t.entries[0].config;
	assert_true(c->threads == 2 && c->block_min == 4096 && c->allow.count == 2);
	assert_int_equal(c->exclusive, EXCLUSIVE_WRITER_OTHERS_READ);
	assert_string_equal(c->serial, "s1");
	check_saved(content);
}

static const struct {
	const char *settings, *says;
} bad_settings[] = {
	{"7", "\"settings\" must be an object"},
	{"{\"nonsense\": [\"1\"]}", "nonsense: no such setting"},
	{"{\"image\": [\"/x\"]}", "image: no such setting"},
	{"{\"description\": [\"x\"]}", "description: no such setting"},
	{"{\"threads\": 2}", "threads: must be an array of"},
	{"{\"threads\": [2]}", "threads: must be an array of texts"},
	{"{\"threads\": []}", "threads: must be one value"},
	{"{\"threads\": [\"0\"]}", "threads: \"0\": must be a number from 1 to 64"},
	{"{\"allow\": [\"x\"]}", "allow: 'x': must be all, unix"},
	{"{\"allow\": [\"all\"], \"block-min\": [\"3\"]}", "block-min: 3 is not a power of two"},
	{"{\"cow-block\": [\"64K\"]}", "cow-block belongs to mode cow-target"},
	{"{\"serial\": [\"a b\"]}", "serial: must be printable ASCII without spaces"},
};

static void test_bad_settings(void **state)
{
	char content[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_settings); i++) {
		snprintf(content, sizeof(content),
			"{\"version\": 2, \"images\": {\"a\": {\"mode\": \"target\", "
			"\"image_path\": \"/a\", \"settings\": %s}}}",
			bad_settings[i].settings);
		check_refused(content, bad_settings[i].says);
		assert_int_equal(t.count, 0);
	}
}

static void test_snapshots_are_not_saved(void **state)
{
	(void)state;
	add("a@1", "/a.1", NULL, true, EXPORT_FROM_SNAPSHOT);
	check_saved(EMPTY_STATE);
}

static void test_only_own_entries_are_saved(void **state)
{
	(void)state;
	add("o", "/o", NULL, false, EXPORT_FROM_OPTION);
	add("c", "/c", "configured", true, EXPORT_FROM_CONFIG);
	check_saved(EMPTY_STATE);
	add("s", "/s", NULL, false, EXPORT_FROM_STATE);
	check_saved(ONE_STATE("        \"s\": {\n"
			      "            \"image_path\": \"/s\",\n"
			      "            \"mode\": \"target\"\n"
			      "        }"));
}

/* An option of today does not delete what the file says for the days without it. */
static void test_hidden_entry_is_kept(void **state)
{
	static const char content[] = ONE_STATE("        \"x\": {\n"
						"            \"image_path\": \"/dev/null\",\n"
						"            \"mode\": \"target\",\n"
						"            \"readonly\": true\n"
						"        }");

	(void)state;
	add("x", "/dev/zero", NULL, false, EXPORT_FROM_CONFIG);
	load_well(content);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.entries[0].config.image, "/dev/zero");
	assert_false(t.entries[0].config.readonly);
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(warning, "also given by config, which wins"));
	check_saved(content);
}

static void test_missing_image_is_kept(void **state)
{
	static const char content[] = ONE_STATE("        \"gone\": {\n"
						"            \"image_path\": \"/no/such/image\",\n"
						"            \"mode\": \"target\"\n"
						"        }");

	(void)state;
	load_well(content);
	check_entry("gone", "/no/such/image", NULL, false);
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(warning, "/no/such/image: No such file or directory"));
	check_saved(content);
}

/* What cannot be written must not be left out: the old file stays. */
static void test_image_that_is_not_utf8(void **state)
{
	struct err err = {0};
	CLEANUP_FREE char *text = NULL;
	size_t len;

	(void)state;
	add("a", "/a", NULL, false, EXPORT_FROM_STATE);
	add("b", "/\xff", NULL, false, EXPORT_FROM_STATE);
	temp_file(&temp, "saved", "old");
	assert_int_equal(state_save(temp.path, &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/saved: image 'b': "));
	assert_non_null(strstr(err.text, "not valid UTF-8"));
	assert_int_equal(fs_read(temp.path, 100, &text, &len, NULL), 0);
	assert_string_equal(text, "old");
	exports_remove(&t, 2);
	add("b", "/\xff", NULL, false, EXPORT_FROM_OPTION);
	assert_int_equal(state_save(temp.path, &t, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* What the configuration hides stays in the file, and comes back as it was. */
static void test_shelf(void **state)
{
	static const char file[] = "{\"version\": 2, \"images\": {"
				   "\"a\": {\"mode\": \"target\", \"image_path\": \"/a\", "
				   "\"description\": \"d\"}, "
				   "\"x\": {\"mode\": \"later\"}}}";
	struct export_entry *e;
	struct err err = {0};

	(void)state;
	load_well(file);
	assert_int_equal(state_shelve(&t, &t.entries[0]), 0);
	exports_remove(&t, t.entries[0].id);
	assert_int_equal(t.count, 0);
	assert_int_equal(json_object_size(t.foreign), 2);
	assert_int_equal(state_unshelve("/s", &t, "a", &e, &err), 0);
	assert_string_equal(e->config.name, "a");
	assert_string_equal(e->config.description, "d");
	assert_int_equal(e->config.source, EXPORT_FROM_STATE);
	assert_int_equal(json_object_size(t.foreign), 1);
	/* One that cannot be served stays there. */
	assert_int_equal(state_unshelve("/s", &t, "x", &e, &err), 0);
	assert_null(e);
	assert_non_null(json_object_get(t.foreign, "x"));
	json_object_set_new(t.foreign, "bad", json_pack("{s:s}", "mode", "target"));
	assert_int_equal(state_unshelve("/s", &t, "bad", &e, &err), -EINVAL);
	assert_non_null(json_object_get(t.foreign, "bad"));
}

/* An export that goes when its clients have left is not served again after a restart. */
static void test_draining(void **state)
{
	static const char file[] = "{\"version\": 2, \"images\": {"
				   "\"goes\": {\"mode\": \"target\", \"image_path\": \"/a\"}, "
				   "\"changes\": {\"mode\": \"target\", \"image_path\": \"/a\"}}}";
	CLEANUP_FREE char *text = NULL;
	struct export_entry *e;
	struct err err = {0};
	size_t len;

	(void)state;
	load_well(file);
	exports_by_name(&t, "goes")->draining = true;
	e = exports_by_name(&t, "changes");
	e->draining = true;
	e->next = calloc(1, sizeof(*e->next));
	assert_int_equal(export_config_copy(e->next, &e->config), 0);
	assert_int_equal(state_save(temp_path(&temp, "out"), &t, &err), 0);
	assert_int_equal(fs_read(temp_path(&temp, "out"), 100000, &text, &len, &err), 0);
	assert_null(strstr(text, "goes"));
	assert_non_null(strstr(text, "changes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_form),
		TEST(test_round_trip),
		TEST(test_missing_file),
		TEST(test_optional_keys),
		TEST(test_faults),
		TEST(test_faults_change_nothing),
		TEST(test_too_long),
		TEST(test_no_state_file),
		TEST(test_foreign_modes),
		TEST(test_proxy_of_the_original),
		TEST(test_port_as_number),
		TEST(test_proxy_by_uri),
		TEST(test_switched_proxy),
		TEST(test_cow_target),
		TEST(test_settings),
		TEST(test_bad_settings),
		TEST(test_snapshots_are_not_saved),
		TEST(test_only_own_entries_are_saved),
		TEST(test_hidden_entry_is_kept),
		TEST(test_missing_image_is_kept),
		TEST(test_image_that_is_not_utf8),
		TEST(test_shelf),
		TEST(test_draining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

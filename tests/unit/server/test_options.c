/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-server: what is accepted, and every combination that is refused. */
#include "options.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 40 };

/* Splits LINE at blanks, parses and checks it. 0 or -errno of the first refusal. */
static int parse(const char *line, struct server_options *o, struct err *err)
{
	static char name[] = "xnbd-server", copy[512];
	char *argv[ARGS_MAX] = {name}, *save = NULL;
	int argc = 1, rest, ret;

	strcpy(copy, line);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	server_options_default(o);
	*err = (struct err){0};
	ret = opt_parse(&server_option_set, argc, argv, o, &rest, err);
	return ret < 0 ? ret : server_options_check(o, argc - rest, argv + rest, err);
}

static const char *const accepted[] = {
	"--target img",
	"img --target",
	"-t img",
	"--target --daemon img", /* unambiguous abbreviations, as the original had */
	"--prox host 8520 cache bitmap ctl",
	"--target -- -img",
	"--target --inetd img",
	"--target --inetd --oldstyle img",
	"--target --connected-fd 5 img",
	"--target --connected-fd 5 --negotiated simple img",
	"--target --socket a --socket b --laddr ::1 --lport 1 img",
	"--target --control c img",
	"--target --control-fd 3 img",
	"--target --control-fd 3 --connected-fd 4 img",
	"--target --engine threads --threads 64 img",
	"--target --engine io_uring -Q 1 -B 1 img",
	"--target --export-name= img",
	"--target --direct img",
	"--cow-target img",
	"-c img",
	"--cow-target --cow-shared img",
	"--cow-target --cow-shared --cow-dir d img",
	"--cow-target --cow-layer f img",
	"--cow-target --cow-layer f --cow-block 4K --readonly img",
	"--cow-target --cow-block 1M --socket s img",
	"--cow-target --control c img",
	"--cow-target --connected-fd 5 img",
	"--proxy host 8520 cache bitmap ctl",
	"-p host 8520 cache bitmap ctl",
	"--proxy nbd://host/vm1 cache bitmap ctl",
	"--proxy --target-exportname vm1 host 8520 cache bitmap ctl",
	"--proxy -n vm1 -z host 8520 cache bitmap ctl",
	"--proxy --clear-bitmap nbd://host cache bitmap ctl",
	"--proxy --control-fd 3 nbd://host cache bitmap ctl",
	"--proxy --origin-wait 0 --origin-timeout 3600 --origin-connections 16 nbd://h c b s",
	"--proxy --readonly --daemonize --export-name vm1 nbd://h c b s",
	"--target --log-level debug img",
	"--target --block-min 64K --block-preferred 64K --block-max 64K img",
	"--target --block-min 1 --block-preferred 512 --block-max 64M img",
	"--target --block-max 512 img",
	"--cow-target --block-min 4K --idle-timeout 0 --limit-requests 1000000000 img",
	"--proxy --limit-bandwidth 1T --block-max 1M nbd://h c b s",
};

static void test_accepted(void **state)
{
	struct server_options o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		if (parse(accepted[i], &o, &err) != 0)
			fail_msg("%s: %s", accepted[i], err.text);
	}
}

static const struct {
	const char *line, *says;
} refused[] = {
	{"", "no mode given"},
	{"img", "use --target, --cow-target or --proxy"},
	{"--target", "one image or device, 0 given"},
	{"--target a b", "2 given"},
	{"--target --cow-target img", "--cow-target: excludes"},
	{"--proxy --target h p c b s", "--target: excludes"},
	{"--cow-target", "--cow-target needs one image or device, 0 given"},
	{"--cow-target a b", "2 given"},
	{"--proxy", "needs HOST PORT CACHE BITMAP CONTROL, or URI"},
	{"--proxy a b c", "3 words given"},
	{"--proxy a b c d e f", "6 words given"},
	{"--proxy -n vm1 nbd://h c b s", "the name is part of it"},
	{"--proxy --control ctl nbd://h c b s", "a proxy's control socket is its last word"},
	{"--target -n vm1 img", "need --proxy"},
	{"--cow-target --target-exportname vm1 img", "need --proxy"},
	{"--target --clear-bitmap img", "need --proxy"},
	{"--proxy --direct nbd://h c b s", "--direct excludes --proxy"},
	{"--cow-target --direct img", "--direct excludes --cow-target"},
	{"--target --cow-shared img", "need --cow-target"},
	{"--target --cow-dir d img", "need --cow-target"},
	{"--target --cow-layer f img", "need --cow-target"},
	{"--proxy --cow-block 64K nbd://h c b s", "need --cow-target"},
	{"--cow-target --cow-layer f --cow-shared img", "excludes --cow-shared and --cow-dir"},
	{"--cow-target --cow-layer f --cow-dir d img", "excludes --cow-shared and --cow-dir"},
	{"--cow-target --cow-block 5000 img", "power of two"},
	{"--cow-target --cow-block 2K img", "from 4096 to 1048576"},
	{"--cow-target --cow-block 2M img", "from 4096 to 1048576"},
	{"--proxy --origin-timeout 0 nbd://h c b s", "from 1 to 3600"},
	{"--proxy --origin-wait 1000001 nbd://h c b s", "from 0 to 1000000"},
	{"--proxy --origin-connections 0 nbd://h c b s", "from 1 to 16"},
	{"--proxy --origin-connections 17 nbd://h c b s", "from 1 to 16"},
	{"--cow-target --export-name \xff\xfe img", "UTF-8"},
	{"--target --log-level loud img", "--log-level loud: must be error, warn, info or debug"},
	{"--target --block-min 0 img", "from 1 to 65536"},
	{"--target --block-min 128K img", "from 1 to 65536"},
	{"--target --block-min 3000 img", "--block-min 3000: must be a power of two"},
	{"--target --block-preferred 256 img", "from 512 to 67108864"},
	{"--target --block-preferred 5K img", "must be a power of two"},
	{"--target --block-min 8K --block-preferred 4K img", "at least 8192, as --block-min"},
	{"--target --block-min 8K --block-max 4K img", "at least 8192, as --block-min"},
	{"--target --block-preferred 1M --block-max 4K img", "1048576, as --block-preferred"},
	{"--target --block-max 128M img", "from 512 to 67108864"},
	{"--target --block-max 3M img", "must be a power of two"},
	{"--target --idle-timeout -1 img", "from 0 to 1000000"},
	{"--target --limit-requests 2000000000 img", "from 0 to 1000000000"},
	{"--target --limit-bandwidth 2T img", "size"},
	{"--nonsense --target img", "unknown or ambiguous"},
	{"--l 1 --target img", "unknown or ambiguous"},
	{"--targ img", "unknown or ambiguous"}, /* there is --target-exportname */
	{"--cow img", "unknown or ambiguous"},
	{"-Z --target img", "-Z: unknown"},
	{"--target img --lport", "argument is missing"},
	{"--target img -l", "argument is missing"},
	{"--target=yes img", "takes no argument"},
	{"--target --lport 0 img", "from 1 to 65535"},
	{"--target --lport 65536 img", "from 1 to 65535"},
	{"--target --lport -1 img", "from 1 to 65535"},
	{"--target --lport 10x img", "from 1 to 65535"},
	{"--target --lport 99999999999999999999 img", "from 1 to 65535"},
	{"--target --threads 0 img", "from 1 to 64"},
	{"--target --threads 65 img", "from 1 to 64"},
	{"--target --max-queue-size 4097 img", "from 0 to 4096"},
	{"--target --max-buf-size 5Q img", "size"},
	{"--target --max-buf-size 2T img", "size"},
	{"--target --engine aio img", "auto, io_uring or threads"},
	{"--target --inetd --connected-fd 3 img", "--inetd excludes"},
	{"--target --inetd --daemonize img", "--inetd excludes"},
	{"--target --connected-fd 3 --daemonize img", "--connected-fd excludes"},
	{"--target --inetd --socket s img", "exclude --laddr and --socket"},
	{"--target --inetd --laddr ::1 img", "exclude --laddr and --socket"},
	{"--target --connected-fd 3 --socket s img", "exclude --laddr and --socket"},
	{"--target --connected-fd 3 --laddr ::1 img", "exclude --laddr and --socket"},
	{"--target --negotiated simple img", "needs --connected-fd"},
	{"--target --inetd --negotiated simple img", "needs --connected-fd"},
	{"--target --oldstyle --connected-fd 3 img", "already done"},
	{"--target --control c --control-fd 3 img", "excludes --control-fd"},
	{"--target --export-name \xff\xfe img", "UTF-8"},
};

static void test_refused(void **state)
{
	struct server_options o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		int ret = parse(refused[i].line, &o, &err);

		if (ret >= 0 || !strstr(err.text, refused[i].says) || strchr(err.text, '\n'))
			fail_msg("'%s': %d '%s'", refused[i].line, ret, err.text);
	}
}

static void test_defaults(void **state)
{
	struct server_options o;
	struct err err;

	(void)state;
	assert_int_equal(parse("--target img", &o, &err), 0);
	assert_int_equal(o.mode, MODE_TARGET);
	assert_int_equal(o.lport, 8520);
	assert_true(o.connected_fd == UINT64_MAX && o.control_fd == UINT64_MAX);
	assert_string_equal(o.export_name, "");
	assert_string_equal(o.engine, "auto");
	assert_false(o.daemonize || o.readonly || o.inetd || o.syslog || o.oldstyle);
	assert_string_equal(o.log_level, "info");
	assert_false(o.clear_bitmap || o.cow_shared || o.direct);
	assert_true(o.block_min == 0 && o.block_preferred == 0 && o.block_max == 0);
	assert_true(o.idle_timeout == 0 && o.limit_requests == 0 && o.limit_bandwidth == 0);
	assert_int_equal(o.origin_timeout, 15);
	assert_int_equal(o.origin_wait, 300);
	assert_int_equal(o.origin_connections, 4);
	assert_int_equal(o.cow_block, 0);
	assert_null(o.target_exportname);
	assert_true(!o.cow_dir && !o.cow_layer);
	assert_null(o.control);
	assert_int_equal(o.laddr.count + o.sockets.count, 0);
}

static void test_values(void **state)
{
	struct server_options o;
	struct err err;

	(void)state;
	assert_int_equal(parse("-t -l 9 -a ::1 -a 127.0.0.1 -u s -d -r -L log -S -O -C ctl "
			       "--export-name nm img",
				 &o, &err),
		0);
	assert_int_equal(o.lport, 9);
	assert_int_equal(o.laddr.count, 2);
	assert_string_equal(o.laddr.items[1], "127.0.0.1");
	assert_string_equal(o.sockets.items[0], "s");
	assert_true(o.daemonize && o.readonly && o.syslog && o.oldstyle);
	assert_string_equal(o.logpath, "log");
	assert_string_equal(o.export_name, "nm");
	assert_string_equal(o.control, "ctl");
	assert_int_equal(parse("-t -T 3 -e threads -Q 7 -B 2M img", &o, &err), 0);
	assert_int_equal(o.threads, 3);
	assert_int_equal(o.max_queue_size, 7);
	assert_int_equal(o.max_buf_size, 2 << 20);
}

static void test_values_of_modes(void **state)
{
	struct server_options o;
	struct err err;

	(void)state;
	assert_int_equal(parse("-c --cow-shared --cow-dir d --cow-block 128K img", &o, &err), 0);
	assert_int_equal(o.mode, MODE_COW);
	assert_true(o.cow_shared);
	assert_string_equal(o.cow_dir, "d");
	assert_int_equal(o.cow_block, 128 << 10);
	assert_int_equal(parse("-c --cow-layer f img", &o, &err), 0);
	assert_string_equal(o.cow_layer, "f");
	assert_int_equal(parse("-p -n vm1 -z --origin-timeout 5 --origin-wait 7 "
			       "--origin-connections 2 host 8520 cache bitmap ctl",
				 &o, &err),
		0);
	assert_int_equal(o.mode, MODE_PROXY);
	assert_string_equal(o.target_exportname, "vm1");
	assert_string_equal(o.export_name, "");
	assert_true(o.clear_bitmap);
	assert_int_equal(o.origin_timeout, 5);
	assert_int_equal(o.origin_wait, 7);
	assert_int_equal(o.origin_connections, 2);
}

/* The parser has no letter twice, and --help has a line for each option people use. */
static void test_table(void **state)
{
	const struct opt_set *set = &server_option_set;

	(void)state;
	for (size_t i = 0; i < set->count; i++) {
		for (size_t k = i + 1; k < set->count; k++) {
			assert_string_not_equal(set->rows[i].name, set->rows[k].name);
			if (set->rows[i].letter)
				assert_int_not_equal(set->rows[i].letter, set->rows[k].letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_values_of_modes),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

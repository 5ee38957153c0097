/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See confkit.h. */
#include "confkit.h"

#include "conftext.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void confkit_init(struct confkit *k)
{
	*k = (struct confkit){0};
	temp_init(&k->temp);
}

static void forget(struct confkit *k)
{
	config_free(&k->config);
	conf_done(&k->files);
}

void confkit_done(struct confkit *k)
{
	forget(k);
	temp_done(&k->temp);
}

int confkit_read(struct confkit *k, const char *text)
{
	int r;

	forget(k);
	r = config_read(conftext_write(&k->temp, "confsync.conf", text), &k->config, &k->files);
	conftext_faults(&k->temp, &k->files, k->faults, sizeof(k->faults));
	return r;
}

struct confkit kit;

int kit_set_up(void **state)
{
	(void)state;
	confkit_init(&kit);
	return 0;
}

int kit_tear_down(void **state)
{
	(void)state;
	confkit_done(&kit);
	return 0;
}

void kit_good(const char *text)
{
	int r = confkit_read(&kit, text);

	assert_string_equal(kit.faults, "");
	assert_int_equal(r, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The argument of -v: names and addresses, with a resolver of the test's own. */
#include "check.h"
#include "self.h"
#include "util.h"

#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct sockaddr_in four = {.sin_family = AF_INET};
static struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = {{{0xfd, 0x77}}}};
static struct addrinfo list[2] = {
	{.ai_addr = (struct sockaddr *)&six, .ai_next = &list[1]},
	{.ai_addr = (struct sockaddr *)&four},
};
static struct sockaddr_un_like {
	sa_family_t family;
} odd = {AF_UNIX};
static struct addrinfo useless = {.ai_addr = (struct sockaddr *)(void *)&odd};

/* "me.lab.test" has both, "odd" has an address of another kind, others are unknown. */
int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	(void)service;
	(void)hints;
	*ret = strcmp(name, "me.lab.test") == 0 ? list : strcmp(name, "odd") == 0 ? &useless : NULL;
	return *ret ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *freed)
{
	CHECK(freed == list || freed == &useless);
}

/* 10.0.0.9 has a name. */
int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
	socklen_t room, char *restrict service, socklen_t service_room, int flags)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];

	(void)len;
	(void)service;
	(void)service_room;
	CHECK(flags & NI_NAMEREQD);
	CHECK(addr_from_sock(sa, &a, NULL));
	addr_print(&a, text);
	if (strcmp(text, "10.0.0.9") != 0)
		return EAI_NONAME;
	snprintf(host, room, "nine.lab.test");
	return 0;
}

static void test_none(void **state)
{
	struct self self = {.count = 7};

	(void)state;
	assert_int_equal(self_find(&self, NULL, NULL), 0);
	assert_int_equal(self.count, 0);
	assert_string_equal(self.name, "");
}

static void test_name(void **state)
{
	struct self self;
	struct err err;

	(void)state;
	assert_int_equal(self_find(&self, "me.lab.test", &err), 0);
	assert_string_equal(self.name, "me.lab.test");
	assert_int_equal(self.count, 2);
	assert_false(addr_is_v4(&self.addrs[0]));
	assert_true(addr_is_v4(&self.addrs[1]));
}

static void test_address(void **state)
{
	struct self self;
	struct err err;

	(void)state;
	assert_int_equal(self_find(&self, "::ffff:10.0.0.9", &err), 0);
	assert_string_equal(self.name, "nine.lab.test");
	assert_int_equal(self.count, 1);
	assert_true(addr_is_v4(&self.addrs[0]));
	assert_int_equal(self_find(&self, "10.0.0.8", &err), -ENOENT);
	assert_non_null(strstr(err.text, "10.0.0.8: no name belongs to this address"));
}

static void test_refused(void **state)
{
	static char long_name[SELF_NAME_MAX + 2];
	struct self self;
	struct err err;

	(void)state;
	assert_int_equal(self_find(&self, "nobody.lab.test", &err), -ENOENT);
	assert_non_null(strstr(err.text, "nobody.lab.test: cannot be resolved"));
	assert_int_equal(self_find(&self, "odd", &err), -ENOENT);
	assert_int_equal(self_find(&self, "", &err), -EINVAL);
	memset(long_name, 'n', SELF_NAME_MAX + 1);
	assert_int_equal(self_find(&self, long_name, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

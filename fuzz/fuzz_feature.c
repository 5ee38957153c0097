/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text form of agreed features: what is accepted is consistent and survives a round trip. */
#include "fuzz.h"

#include "feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_accepted(const struct features *f)
{
	char text[FEATURE_TEXT_MAX];
	struct features again;

	REQUIRE(f->structured || !(f->extended || f->allocation));
	feature_format(f, text);
	REQUIRE(feature_parse(text, &again, NULL) == 0);
	REQUIRE(memcmp(f, &again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct features f = {false, false, false};
	struct err err = {0};
	char *text = malloc(size + 1);
	int ret;

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = 0;
	ret = feature_parse(text, &f, &err);
	REQUIRE(ret == 0 || (ret == -EINVAL && err.code == EINVAL && err.text[0]));
	if (ret == 0)
		check_accepted(&f);
	free(text);
	return 0;
}

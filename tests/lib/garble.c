/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random clients; see garble.h. Valid options are words of script.h; a half-valid session is a
 * valid one with some bytes changed, cut out or doubled, so that deep states are reached too.
 */
#include "garble.h"

#include "check.h"
#include "nbd.h"
#include "script.h"
#include "util.h"

enum { OPTIONS_MAX = 12, CHANGES_MAX = 4, NOISE_MAX = 300 };

static const char *const flags[] = {"f3", "f3", "f3", "f3", "f3", "f1", "f2", "f0", "f7"};

static const char *const options[] = {"sr", "sr", "ext", "list", "starttls", "opt77", "opt4+9",
	"info:disk", "info:disk,1,2", "info:nothing", "info:gone", "info:", "info", "info:ro,0-1",
	"set:disk,base:allocation", "set:ro,base:allocation", "set:,base:", "set", "set:disk",
	"set:nothing,base:allocation", "set:disk,x:y,base:allocation-2", "lm:disk",
	"lm:ro,base:", "lm:disk,x:", "lm+7", "lm:~4096", "go:nothing", "go:gone,0,3", "go:disk+1",
	"go:~4097", "go+5", "list+3", "sr+1", "ext+2", "starttls+1", "opt4294967295+30"};

static const char *const rare[] = {"go:disk", "go:disk", "go:ro,0,1,2,3", "go:", "abort", "abort+3",
	"name:disk", "name:ro", "name:nothing", "opt77+65537", "set+70000", "list+65536",
	"set:disk,base:allocation+65600", "abort+66000"};

static const char *choose(struct rnd *rnd, const char *const *list, size_t count)
{
	return list[rnd_below(rnd, count)];
}

static void put_option(struct rnd *rnd, struct buf *out)
{
	if (rnd_once_in(rnd, 8))
		script_bytes(choose(rnd, rare, ARRAY_LEN(rare)), out);
	else
		script_bytes(choose(rnd, options, ARRAY_LEN(options)), out);
}

/* An option with a random number and random insides, its length right. */
static void put_strange(struct rnd *rnd, struct buf *out)
{
	uint8_t payload[64];
	size_t len = rnd_below(rnd, sizeof(payload) + 1);

	rnd_fill(rnd, payload, len);
	if (len >= 6 && rnd_once_in(rnd, 2))
		set_u32(payload, (uint32_t)rnd_below(rnd, len));
	script_option(out, (uint32_t)rnd_below(rnd, 14), payload, len);
}

static void change(struct rnd *rnd, struct buf *b)
{
	uint8_t *p = b->data + b->start;
	size_t len = buf_len(b), at = rnd_below(rnd, len);

	switch (rnd_below(rnd, 4)) {
	case 0:
		p[at] ^= (uint8_t)(1u << rnd_below(rnd, 8));
		break;
	case 1:
		p[at] = rnd_once_in(rnd, 2) ? 0xff : 0;
		break;
	case 2:
		b->end -= len - at; /* the client falls silent */
		break;
	default:
		buf_put_zeros(b, rnd_below(rnd, 20));
		break;
	}
}

static void put_valid(struct rnd *rnd, struct buf *out, bool strange)
{
	size_t count = 1 + rnd_below(rnd, OPTIONS_MAX);

	script_bytes(choose(rnd, flags, ARRAY_LEN(flags)), out);
	while (count-- > 0) {
		if (strange && rnd_once_in(rnd, 3))
			put_strange(rnd, out);
		else
			put_option(rnd, out);
	}
}

void garble_session(struct rnd *rnd, enum garble_kind kind, struct buf *out)
{
	uint8_t noise[NOISE_MAX];
	size_t len = rnd_below(rnd, sizeof(noise)) + 1;

	if (kind == GARBLE_NOISE) {
		rnd_fill(rnd, noise, len);
		if (rnd_once_in(rnd, 2))
			script_bytes("f3", out);
		buf_put(out, noise, len);
		return;
	}
	put_valid(rnd, out, kind == GARBLE_HALF);
	if (kind == GARBLE_HALF) {
		for (size_t n = rnd_below(rnd, CHANGES_MAX + 1); n > 0 && buf_len(out) > 0; n--)
			change(rnd, out);
	}
	CHECK(!buf_failed(out));
}

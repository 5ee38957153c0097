/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a profile's patterns and an outlet's key to requests, and from what was read to the one
 * question: is it off? Anything that is not exactly what the profile says is not off. Profiles that
 * could make one outlet of two, or on of off, are refused (profile_check()), so the rest need not
 * fear them.
 */
#include "profile.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < profile_count; i++) {
		if (strcmp(profile_table[i].name, name) == 0)
			return &profile_table[i];
	}
	return NULL;
}

/* Systems. */

/* "1.2.3" or "1.2.3.*". */
static bool parse_system(const char *text, struct oid *ret, bool *below)
{
	char plain[OID_TEXT_MAX];
	size_t len = strnlen(text, sizeof(plain));

	if (len == sizeof(plain))
		return false;
	*below = len > 2 && strcmp(text + len - 2, ".*") == 0;
	snprintf(plain, sizeof(plain), "%.*s", (int)(len - (*below ? 2 : 0)), text);
	return oid_parse(plain, ret);
}

bool profile_has_system(const struct profile *p, const struct oid *sysobjectid)
{
	for (size_t i = 0; i < PROFILE_SYSTEMS && p->systems[i]; i++) {
		struct oid system;
		bool below;

		if (!parse_system(p->systems[i], &system, &below))
			continue;
		if (below ? oid_begins(sysobjectid, &system) : oid_equal(sysobjectid, &system))
			return true;
	}
	return false;
}

bool profile_has_cancel(const struct profile *p)
{
	return p->cancel[0].oid != NULL;
}

/* Keys. */

/* K begins with what is missing of it, taken from the profile. */
static bool complete_key(const struct profile *p, struct oid_key *k)
{
	struct oid_key front;
	size_t missing;

	if (k->count >= p->key_parts)
		return k->count == p->key_parts;
	missing = (size_t)(p->key_parts - k->count);
	if (!p->key_default || !oid_key_parse(p->key_default, &front) || front.count < missing)
		return false;
	memmove(&k->part[missing], k->part, k->count * sizeof(k->part[0]));
	memcpy(k->part, front.part, missing * sizeof(k->part[0]));
	k->count = p->key_parts;
	return true;
}

static bool fits(const char *pattern, const struct oid_key *k)
{
	struct oid any;

	return !pattern || oid_fill(pattern, k, &any);
}

static bool checks_fit(const struct profile_check *checks, size_t count, const struct oid_key *k)
{
	for (size_t i = 0; i < count; i++) {
		if (!fits(checks[i].oid, k))
			return false;
	}
	return true;
}

/* Is there an identifier for it in every pattern? {1-1} has none for 0. */
static bool all_fit(const struct profile *p, const struct oid_key *k)
{
	for (size_t i = 0; i < PROFILE_CANCELS; i++) {
		if (!fits(p->cancel[i].oid, k))
			return false;
	}
	return fits(p->state, k) && fits(p->off.oid, k) && fits(p->on.oid, k) &&
		fits(p->outlet_name, k) && fits(p->watts, k) &&
		checks_fit(p->idle, PROFILE_IDLE, k) && checks_fit(p->usable, PROFILE_USABLE, k);
}

int profile_key(const struct profile *p, const char *text, struct oid_key *ret, struct err *err)
{
	static const char *const shapes[] = {
		"a number", "two numbers (1.2)", "three numbers (1.2.3)"};
	struct oid_key k;

	if (!oid_key_parse(text, &k) || !complete_key(p, &k))
		return err_set(err, EINVAL, "'%s' is no outlet of %s: that is %s", text, p->name,
			shapes[MIN_OF((size_t)(p->key_parts - 1), ARRAY_LEN(shapes) - 1)]);
	if (!all_fit(p, &k))
		return err_set(err, EINVAL, "'%s': %s has no outlet of that number", text, p->name);
	*ret = k;
	return 0;
}

/* Requests. A key of profile_key() fits, so nothing fails here. */

static size_t add_checks(
	const struct profile_check *checks, size_t count, const struct oid_key *k, struct oid *ret)
{
	size_t n = 0;

	while (n < count && checks[n].oid && oid_fill(checks[n].oid, k, &ret[n]))
		n++;
	return n;
}

size_t profile_reads(
	const struct profile *p, const struct oid_key *k, struct oid ret[PROFILE_READS])
{
	size_t n = 1;

	if (!oid_fill(p->state, k, &ret[0]))
		return 0;
	n += add_checks(p->idle, PROFILE_IDLE, k, &ret[n]);
	return n + add_checks(p->usable, PROFILE_USABLE, k, &ret[n]);
}

size_t profile_cancels(const struct profile *p, const struct oid_key *k,
	struct oid oids[PROFILE_CANCELS], int32_t values[PROFILE_CANCELS])
{
	size_t n = 0;

	for (; n < PROFILE_CANCELS && p->cancel[n].oid; n++) {
		if (!oid_fill(p->cancel[n].oid, k, &oids[n]))
			return 0;
		values[n] = p->cancel[n].value;
	}
	return n;
}

bool profile_switch(const struct profile *p, const struct oid_key *k, bool on, struct oid *ret,
	int32_t *ret_value)
{
	const struct profile_value *v = on ? &p->on : &p->off;

	if (!oid_fill(v->oid, k, ret))
		return false;
	*ret_value = v->value;
	return true;
}

/* Answers. */

static bool has_bit(const struct profile_reading *r, int32_t bit)
{
	size_t at = (size_t)bit / 8;

	if (r->kind != PROFILE_BITS || bit < 0 ||
		at >= MIN_OF((size_t)r->bits_len, sizeof(r->bits)))
		return false;
	return (r->bits[at] & (0x80U >> (bit % 8))) != 0;
}

static bool holds(const struct profile_check *c, const struct profile_reading *r)
{
	if (c->bit)
		return has_bit(r, c->value);
	if (r->kind != PROFILE_INTEGER)
		return false;
	if (r->value == c->value)
		return true;
	return r->value >= 0 && r->value < 32 && (c->among >> r->value & 1U);
}

static enum outlet_state judge_state(const struct profile *p, const struct profile_reading *r)
{
	switch (r->kind) {
	case PROFILE_INTEGER:
		if (r->value == p->state_off)
			return OUTLET_OFF;
		return r->value == p->state_on ? OUTLET_ON : OUTLET_ODD;
	case PROFILE_MISSING:
		return OUTLET_MISSING;
	case PROFILE_BITS:
	case PROFILE_OTHER:
		return OUTLET_TYPE;
	case PROFILE_UNREAD:
	case PROFILE_ERROR:
		break;
	}
	return OUTLET_FAULT;
}

/* How many checks there are. *GOOD: all that matter to an outlet that reads STATE hold. */
static size_t judge_checks(const struct profile_check *checks, size_t count,
	const struct profile_reading *readings, enum outlet_state state, bool *good)
{
	size_t n = 0;

	*good = true;
	for (; n < count && checks[n].oid; n++) {
		if (checks[n].off_only && state != OUTLET_OFF)
			continue;
		*good = *good && holds(&checks[n], &readings[n]);
	}
	return n;
}

static size_t reads_count(const struct profile *p)
{
	size_t n = 1;

	for (size_t i = 0; i < PROFILE_IDLE && p->idle[i].oid; i++)
		n++;
	for (size_t i = 0; i < PROFILE_USABLE && p->usable[i].oid; i++)
		n++;
	return n;
}

enum outlet_state profile_judge(const struct profile *p, const struct profile_reading *readings,
	size_t count, int32_t *ret_value)
{
	enum outlet_state state;
	bool idle, usable;
	size_t at = 1;

	*ret_value = 0;
	if (count != reads_count(p))
		return OUTLET_FAULT;
	state = judge_state(p, &readings[0]);
	if (readings[0].kind == PROFILE_INTEGER)
		*ret_value = readings[0].value;
	if (state != OUTLET_OFF && state != OUTLET_ON)
		return state;
	at += judge_checks(p->idle, PROFILE_IDLE, &readings[at], state, &idle);
	judge_checks(p->usable, PROFILE_USABLE, &readings[at], state, &usable);
	if (!usable)
		return OUTLET_UNUSABLE;
	return idle ? state : OUTLET_PENDING;
}

const char *profile_state_text(enum outlet_state s)
{
	static const char *const texts[OUTLET_STATES] = {
		[OUTLET_UNKNOWN] = "not read",
		[OUTLET_OFF] = "off",
		[OUTLET_ON] = "on",
		[OUTLET_PENDING] = "on or off, with a command pending",
		[OUTLET_ODD] = "a value that is neither on nor off",
		[OUTLET_TYPE] = "not an INTEGER",
		[OUTLET_MISSING] = "no such outlet",
		[OUTLET_UNUSABLE] = "cannot be switched, or its unit is lost",
		[OUTLET_FAULT] = "the PDU does not say",
	};

	return s < OUTLET_STATES ? texts[s] : "?";
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a profile fit to decide whether a node is dead? Built-in ones are checked by a test, own ones
 * when the configuration is read. What is looked for are the mistakes that would turn into a false
 * "off": on and off the same, one object for several outlets, a cancel that switches, no system.
 */
#include "profile.h"

#include "util.h"

#include <errno.h>
#include <string.h>

static int fault(const struct profile *p, struct err *err, const char *what, const char *why)
{
	return err_set(err, EINVAL, "profile %s: %s: %s", p->name, what, why);
}

static int check_names(const struct profile *p, struct err *err)
{
	if (!p->name || p->name[0] == '\0')
		return err_set(err, EINVAL, "a profile without a name");
	if (p->key_parts < 1 || p->key_parts > OID_KEY_MAX)
		return fault(p, err, "key", "an outlet has one to three numbers");
	return 0;
}

static int check_default(const struct profile *p, struct err *err)
{
	struct oid_key k;

	if (!p->key_default)
		return 0;
	if (!oid_key_parse(p->key_default, &k))
		return fault(p, err, p->key_default, "not a key (1, 1.2)");
	if (k.count != p->key_parts - 1)
		return fault(p, err, p->key_default, "must be all of a key but its last number");
	return 0;
}

/* A whole enterprise is the least that is known of a PDU: 1.3.6.1.4.1.N, or a number like that. */
static int check_system(const struct profile *p, const char *text, struct err *err)
{
	struct profile one = {.systems = {text}};
	char plain[OID_TEXT_MAX];
	struct oid o;
	size_t len = strlen(text);

	if (len >= sizeof(plain))
		return fault(p, err, "system", "too long");
	memcpy(plain, text, len + 1);
	if (len > 2 && strcmp(plain + len - 2, ".*") == 0)
		plain[len - 2] = '\0';
	if (!oid_parse(plain, &o))
		return fault(p, err, text,
			"not a sysObjectID (1.3.6.1.4.1.318.1.3.4.5, or ended by .*)");
	if (o.count < 7)
		return fault(p, err, text, "fits PDUs of many makers");
	return profile_has_system(&one, &o) ? 0 : fault(p, err, text, "not a sysObjectID");
}

static int check_systems(const struct profile *p, struct err *err)
{
	int r = 0;

	if (!p->systems[0])
		return fault(p, err, "system", "missing: a PDU must be known by its sysObjectID");
	for (size_t i = 0; i < PROFILE_SYSTEMS && p->systems[i] && r == 0; i++)
		r = check_system(p, p->systems[i], err);
	return r;
}

/* OWN: must name the outlet by its whole key, else it is an object of several outlets. */
static int check_pattern(
	const struct profile *p, const char *what, const char *pattern, bool own, struct err *err)
{
	int all = (1 << p->key_parts) - 1;
	int parts;

	if (!pattern)
		return own ? fault(p, err, what, "missing") : 0;
	parts = oid_pattern_parts(pattern);
	if (parts < 0)
		return fault(p, err, pattern, "not a pattern of identifiers (1.3.6.1.4.1.318.{1})");
	if (parts & ~all)
		return fault(p, err, pattern, "has places for more numbers than a key has");
	if (own && parts != all)
		return fault(p, err, pattern, "has no place for each number of the key");
	return 0;
}

static bool same_object(const char *a, const char *b)
{
	static const struct oid_key key = {OID_KEY_MAX, {1001, 2002, 3003}};
	struct oid x, y;

	return oid_fill(a, &key, &x) && oid_fill(b, &key, &y) && oid_equal(&x, &y);
}

static int check_switch(const struct profile *p, struct err *err)
{
	int r = check_pattern(p, "state", p->state, true, err);

	if (r == 0)
		r = check_pattern(p, "off", p->off.oid, true, err);
	if (r == 0)
		r = check_pattern(p, "on", p->on.oid, true, err);
	if (r < 0)
		return r;
	if (p->state_on == p->state_off)
		return fault(p, err, "state", "the same value for on and off");
	if (same_object(p->off.oid, p->on.oid) && p->off.value == p->on.value)
		return fault(p, err, "off", "the same object and value as for on");
	return 0;
}

static bool is_same(const struct profile_value *a, const struct profile_value *b)
{
	return same_object(a->oid, b->oid) && a->value == b->value;
}

static int check_cancels(const struct profile *p, struct err *err)
{
	for (size_t i = 0; i < PROFILE_CANCELS; i++) {
		const struct profile_value *c = &p->cancel[i];
		int r;

		if (!c->oid)
			continue;
		if (i > 0 && !p->cancel[i - 1].oid)
			return fault(p, err, "cancel", "there is a gap in the list");
		r = check_pattern(p, "cancel", c->oid, true, err);
		if (r < 0)
			return r;
		if (is_same(c, &p->on) || is_same(c, &p->off))
			return fault(p, err, "cancel", "that would switch the outlet");
	}
	return 0;
}

static int check_check(
	const struct profile *p, const char *what, const struct profile_check *c, struct err *err)
{
	int r = check_pattern(p, what, c->oid, false, err);

	if (r < 0)
		return r;
	if (c->bit && (c->value < 0 || c->value >= 64))
		return fault(p, err, what, "bits are numbered from 0 to 63");
	if (c->bit && c->among)
		return fault(p, err, what, "a bit has no values");
	return 0;
}

static int check_checks(const struct profile *p, const char *what,
	const struct profile_check *checks, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		int r = checks[i].oid ? check_check(p, what, &checks[i], err) : 0;

		if (r < 0)
			return r;
		if (checks[i].oid && i > 0 && !checks[i - 1].oid)
			return fault(p, err, what, "there is a gap in the list");
	}
	return 0;
}

static int check_extras(const struct profile *p, struct err *err)
{
	int r = check_checks(p, "idle", p->idle, PROFILE_IDLE, err);

	if (r == 0)
		r = check_checks(p, "usable", p->usable, PROFILE_USABLE, err);
	if (r == 0)
		r = check_pattern(p, "name", p->outlet_name, false, err);
	if (r == 0)
		r = check_pattern(p, "watts", p->watts, false, err);
	if (r == 0 && p->count && oid_pattern_parts(p->count) != 0)
		return fault(p, err, p->count, "the number of outlets has no outlet's number");
	return r;
}

int profile_check(const struct profile *p, struct err *err)
{
	int r = check_names(p, err);

	if (r == 0)
		r = check_default(p, err);
	if (r == 0)
		r = check_systems(p, err);
	if (r == 0)
		r = check_switch(p, err);
	if (r == 0)
		r = check_cancels(p, err);
	return r < 0 ? r : check_extras(p, err);
}

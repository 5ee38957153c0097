/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `profile`: families of PDUs the table does not have. What an object is set to, or must
 * be, is written "PATTERN=NUMBER", a bit that must be set "PATTERN/NUMBER". With `like` all that is
 * not given is as in a built-in profile, so a new model of a known family needs its sysObjectID and
 * no more.
 */
#include "config_inner.h"

#include "conf_objects.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define AT(field) offsetof(struct config_family, field)

static const struct key keys[] = {
	{"like", KEY_TEXT, AT(like), 1, CONFIG_NAME_MAX, 0, NULL, 1, false,
		"A built-in profile; what is not given here is as there."},
	{"about", KEY_TEXT, AT(about), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"Which models these are, for people."},
	{"systems", KEY_TEXTS, AT(systems), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"The sysObjectIDs that these PDUs have; one that ends in .* stands for all that "
		"begin so. Required."},
	{"key-parts", KEY_NUMBER, AT(key_parts), 1, OID_KEY_MAX, 0, NULL, 1, false,
		"How many numbers an outlet's key has; otherwise 1."},
	{"key-default", KEY_TEXT, AT(key_default), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"What may be left out of a key, in front: all of it but its last number."},
	{"state", KEY_TEXT, AT(state), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"The object that is an outlet's state. Required unless like is given, as are the "
		"next four."},
	{"state-on", KEY_TEXT, AT(state_on), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What it reads of one that is on."},
	{"state-off", KEY_TEXT, AT(state_off), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What it reads of one that is off. Every other value means that it is not off."},
	{"on", KEY_TEXT, AT(on), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What to set to switch on, as \"OBJECT=NUMBER\"."},
	{"off", KEY_TEXT, AT(off), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What to set to switch off."},
	{"cancel", KEY_TEXTS, AT(cancel), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What to set so that the PDU forgets delayed commands; 3 at most."},
	{"idle", KEY_TEXTS, AT(idle), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What must hold of an outlet with no command pending, 3 at most: "
		"\"OBJECT=NUMBER\", \"OBJECT=NUMBER|NUMBER\" with several good ones, or "
		"\"OBJECT/BIT\" with the number of a bit that is set, from 0. With \" if off\" at "
		"its end it matters only of an outlet that reads off."},
	{"usable", KEY_TEXTS, AT(usable), 1, CONFIG_TEXT_BYTES, 0, NULL, 1, false,
		"What must hold of an outlet that can be switched, 3 at most, written as idle."},
	{"outlet-name", KEY_TEXT, AT(outlet_name), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"The object that is an outlet's name."},
	{"watts", KEY_TEXT, AT(watts), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"The object that is an outlet's power."},
	{"count", KEY_TEXT, AT(count), 1, OID_PATTERN_MAX - 1, 0, NULL, 1, false,
		"The object that is the number of outlets."},
};
const struct key_set config_family_keys = {keys, ARRAY_LEN(keys)};

const struct profile *config_find_profile(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->family_count; i++) {
		if (strcmp(c->families[i].name, name) == 0)
			return &c->families[i].profile;
	}
	return profile_find(name);
}

/* An INTEGER of SNMP, signed. */
static bool parse_value(const char *text, int32_t *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return false;
	if (errno || *end || end == text || n < INT32_MIN || n > INT32_MAX)
		return false;
	*ret = (int32_t)n;
	return true;
}

static void read_value(struct conf *f, const struct conf_section *s, const char *key,
	const char *text, int32_t *ret)
{
	if (text && !parse_value(text, ret))
		conf_fault(f, s, key, "%s: \"%.100s\": must be a number of 32 bits", key, text);
}

/* Cuts TEXT at the first of SIGNS, which no pattern has; the pattern is kept in X. What is behind
 * the sign, or NULL. */
static const char *cut(
	struct config_family *x, const char *text, const char *signs, const char **ret_oid)
{
	size_t at = strcspn(text, signs);
	char *pattern;

	if (!at || !text[at] || x->pattern_count == ARRAY_LEN(x->patterns))
		return NULL;
	pattern = strndup(text, at);
	if (!pattern)
		return NULL;
	x->patterns[x->pattern_count++] = pattern;
	*ret_oid = pattern;
	return text + at + 1;
}

static void read_set(struct conf *f, const struct conf_section *s, struct config_family *x,
	const char *key, const char *text, struct profile_value *ret)
{
	struct profile_value v = {0};
	const char *value = text ? cut(x, text, "=", &v.oid) : NULL;

	if (!text)
		return;
	if (value && parse_value(value, &v.value))
		*ret = v;
	else
		conf_fault(f, s, key, "%s: \"%.100s\": must be \"OBJECT=NUMBER\"", key, text);
}

static void read_cancels(struct conf *f, const struct conf_section *s, struct config_family *x)
{
	if (x->cancel.count > PROFILE_CANCELS) {
		conf_fault(f, s, "cancel", "cancel: more than %d values", PROFILE_CANCELS);
		return;
	}
	if (conf_value(s, "cancel"))
		memset(x->profile.cancel, 0, sizeof(x->profile.cancel));
	for (size_t i = 0; i < x->cancel.count; i++)
		read_set(f, s, x, "cancel", x->cancel.items[i], &x->profile.cancel[i]);
}

/* "2", "2|3|9", with " if off" behind it: it matters only then. */
static bool read_among(char *text, struct profile_check *ret)
{
	static const char if_off[] = " if off";
	size_t len = strlen(text), tail = sizeof(if_off) - 1;
	char *next;
	int32_t n;

	ret->off_only = len > tail && strcmp(text + len - tail, if_off) == 0;
	if (ret->off_only)
		text[len - tail] = 0;
	next = strchr(text, '|');
	if (next)
		*next++ = 0;
	if (!parse_value(text, &ret->value))
		return false;
	for (text = next; text; text = next) {
		next = strchr(text, '|');
		if (next)
			*next++ = 0;
		if (!parse_value(text, &n) || n < 0 || n > 31)
			return false;
		ret->among |= 1U << n;
	}
	return true;
}

static bool parse_check(struct config_family *x, const char *text, struct profile_check *ret)
{
	const char *value = cut(x, text, "=/", &ret->oid);
	char rest[CONFIG_TEXT_BYTES + 1];

	if (!value)
		return false;
	snprintf(rest, sizeof(rest), "%s", value);
	ret->bit = value[-1] == '/';
	return read_among(rest, ret) && !(ret->bit && (ret->among || ret->value < 0));
}

static void read_checks(struct conf *f, const struct conf_section *s, struct config_family *x,
	const char *key, const struct key_texts *texts, struct profile_check *ret, size_t max)
{
	if (texts->count > max) {
		conf_fault(f, s, key, "%s: more than %zu values", key, max);
		return;
	}
	if (conf_value(s, key))
		memset(ret, 0, max * sizeof(*ret));
	for (size_t i = 0; i < texts->count; i++) {
		struct profile_check v = {0};

		if (parse_check(x, texts->items[i], &v))
			ret[i] = v;
		else
			conf_fault(f, s, key,
				"%s: \"%.100s\": must be \"OBJECT=NUMBER\", "
				"\"OBJECT=NUMBER|NUMBER\" or \"OBJECT/BIT\"",
				key, texts->items[i]);
	}
}

static void read_systems(struct conf *f, const struct conf_section *s, struct config_family *x)
{
	if (x->systems.count > PROFILE_SYSTEMS)
		conf_fault(f, s, "systems", "systems: more than %d", PROFILE_SYSTEMS);
	else if (!x->systems.count && !s->torn)
		conf_fault(f, s, NULL, "systems is missing");
	memset(x->profile.systems, 0, sizeof(x->profile.systems));
	for (size_t i = 0; i < x->systems.count && i < PROFILE_SYSTEMS; i++)
		x->profile.systems[i] = x->systems.items[i];
}

static void take(const char **to, const char *text)
{
	if (text)
		*to = text;
}

static void read_texts(struct config_family *x)
{
	struct profile *p = &x->profile;

	p->name = x->name;
	take(&p->about, x->about);
	take(&p->key_default, x->key_default);
	take(&p->state, x->state);
	take(&p->outlet_name, x->outlet_name);
	take(&p->watts, x->watts);
	take(&p->count, x->count);
	if (x->key_parts || !x->like)
		p->key_parts = x->key_parts ? (uint8_t)x->key_parts : 1;
	if (!p->about)
		p->about = x->name;
}

static void read_like(struct conf *f, const struct conf_section *s, struct config_family *x)
{
	struct config_guess guess = {.word = x->like};
	const struct profile *p = x->like ? profile_find(x->like) : NULL;
	char text[128];

	if (p)
		x->profile = *p;
	if (p || !x->like)
		return;
	for (size_t i = 0; i < profile_count; i++)
		config_guess(&guess, profile_table[i].name);
	conf_fault(f, s, "like", "like: \"%.64s\": there is no such built-in profile%s", x->like,
		config_guess_text(&guess, text, sizeof(text)));
}

static void require_all(struct conf *f, const struct conf_section *s, const struct config_family *x)
{
	conf_require(f, s, "state", x->state, NULL);
	conf_require(f, s, "state-on", x->state_on, NULL);
	conf_require(f, s, "state-off", x->state_off, NULL);
	conf_require(f, s, "on", x->on, NULL);
	conf_require(f, s, "off", x->off, NULL);
}

/* The section's own fault begins with it. */
static const char *without_name(const char *text, const char *name)
{
	const char *rest = strstr(text, name);

	return rest && strncmp(rest + strlen(name), ": ", 2) == 0 ? rest + strlen(name) + 2 : text;
}

void config_read_family(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_family *x = &c->families[c->family_count++];
	size_t before = f->fault_count;
	struct err err;

	key_init_all(&config_family_keys, x);
	x->name = name;
	conf_apply(f, s, x);
	if (profile_find(name))
		conf_fault(f, s, NULL, "there is a built-in profile of this name");
	read_like(f, s, x);
	if (!x->like)
		require_all(f, s, x);
	read_texts(x);
	read_systems(f, s, x);
	read_value(f, s, "state-on", x->state_on, &x->profile.state_on);
	read_value(f, s, "state-off", x->state_off, &x->profile.state_off);
	read_set(f, s, x, "on", x->on, &x->profile.on);
	read_set(f, s, x, "off", x->off, &x->profile.off);
	read_cancels(f, s, x);
	read_checks(f, s, x, "idle", &x->idle, x->profile.idle, PROFILE_IDLE);
	read_checks(f, s, x, "usable", &x->usable, x->profile.usable, PROFILE_USABLE);
	if (f->fault_count == before && !s->torn && profile_check(&x->profile, &err) < 0)
		conf_fault(f, s, NULL, "%s", without_name(err.text, name));
}

void config_free_family(struct config_family *x)
{
	for (size_t i = 0; i < x->pattern_count; i++)
		free(x->patterns[i]);
	key_free_all(&config_family_keys, x);
	free(x->name);
}

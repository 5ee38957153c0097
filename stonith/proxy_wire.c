/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The conversation of a node with a stonith proxy as lines. Whatever is said goes into a chain of
 * hashes with the side that said it, in order; a MAC is made of the chain. Each side takes a line
 * only in the step it belongs to: nothing is optional, nothing can be said twice.
 */
#include "proxy_wire.h"

#include "proxy_field.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

enum step { START, HELLO, REQUESTED, PROVEN, VERDICT, OVER };

static const char side_server = 'S', side_client = 'C';
static const char label_request[] = "xnbd-stonith request", label_answer[] = "xnbd-stonith answer";

static const char *const goals[] = {
	[FENCE_OFF] = "off",
	[FENCE_ON] = "on",
	[FENCE_CYCLE] = "reboot",
	[FENCE_READ] = "status",
	[FENCE_TEST] = "test",
};
static const char *const codes[] = {
	[PROXY_WIRE_DONE] = "done",
	[PROXY_WIRE_FAILED] = "failed",
	[PROXY_WIRE_REFUSED] = "refused",
};

const char *proxy_wire_goal_name(enum fence_goal goal)
{
	return goals[goal];
}

static bool choose(const char *name, const char *const *names, size_t count, unsigned *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (unsigned)i;
			return true;
		}
	}
	return false;
}

bool proxy_wire_goal(const char *name, enum fence_goal *ret)
{
	unsigned n;

	if (!choose(name, goals, ARRAY_LEN(goals), &n))
		return false;
	*ret = (enum fence_goal)n;
	return true;
}

/* Lines. */

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

int proxy_wire_feed(struct proxy_wire_lines *l, const char **bytes, size_t *len)
{
	while (*len > 0) {
		char c = **bytes;

		++*bytes;
		--*len;
		if (c == '\n') {
			l->line[l->len] = 0;
			l->len = 0;
			return 1;
		}
		if (is_control((unsigned char)c))
			return -EBADMSG;
		if (l->len == PROXY_WIRE_LINE_MAX)
			return -EMSGSIZE;
		l->line[l->len++] = c;
	}
	return 0;
}

/* The chain: what was said is fixed with who said it; LEN is without the newline. */
static void chain(struct proxy_wire *w, char side, const char *line, size_t len)
{
	uint8_t all[PROXY_WIRE_HASH + 1 + PROXY_WIRE_LINE_MAX];

	len = MIN_OF(len, (size_t)PROXY_WIRE_LINE_MAX);
	memcpy(all, w->hash, PROXY_WIRE_HASH);
	all[PROXY_WIRE_HASH] = (uint8_t)side;
	memcpy(all + PROXY_WIRE_HASH + 1, line, len);
	SHA256(all, PROXY_WIRE_HASH + 1 + len, w->hash);
}

/* False: no memory. */
static bool sign(const struct proxy_wire *w, const char *label, uint8_t ret[PROXY_WIRE_HASH])
{
	uint8_t all[sizeof(label_request) + PROXY_WIRE_HASH];
	size_t len = strlen(label) + 1;
	unsigned ret_len = 0;

	memcpy(all, label, len);
	memcpy(all + len, w->hash, PROXY_WIRE_HASH);
	return HMAC(EVP_sha256(), w->secret, (int)w->secret_len, all, len + PROXY_WIRE_HASH, ret,
		       &ret_len) &&
		ret_len == PROXY_WIRE_HASH;
}

/* Says the line in OUT: it is of our side from now on. */
static size_t say(struct proxy_wire *w, char side, char *out)
{
	size_t len = strlen(out);

	chain(w, side, out, len);
	out[len] = '\n';
	out[len + 1] = 0;
	return len + 1;
}

static size_t say_mac(struct proxy_wire *w, char side, const char *label, char *out)
{
	uint8_t mac[PROXY_WIRE_HASH];

	if (!sign(w, label, mac))
		memset(mac, 0, sizeof(mac)); /* which the other side does not believe */
	memcpy(out, "mac ", 4);
	proxy_field_put_hash(out + 4, mac);
	return say(w, side, out);
}

int proxy_wire_init(struct proxy_wire *w, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;

	if (len < PROXY_WIRE_SECRET_MIN || len > 4096)
		return -EINVAL;
	*w = (struct proxy_wire){.secret = secret, .secret_len = len, .step = START};
	return 0;
}

static bool is_victim(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return len > 0 && len < PROXY_WIRE_VICTIM_MAX;
}

/* "mac MAC": 1, -EACCES, or -EBADMSG. */
static int take_mac(struct proxy_wire *w, char side, const char *label, const char *line)
{
	uint8_t said[PROXY_WIRE_HASH], right[PROXY_WIRE_HASH];
	const char *p = line;

	if (!proxy_field_is(&p, "mac") || !proxy_field_hash(&p, said) || *p)
		return -EBADMSG;
	if (!sign(w, label, right))
		return -ENOMEM;
	chain(w, side, line, strlen(line));
	return CRYPTO_memcmp(said, right, sizeof(said)) == 0 ? 1 : -EACCES;
}

/* Server. */

size_t proxy_wire_hello(
	struct proxy_wire *w, const uint8_t challenge[PROXY_WIRE_HASH], uint64_t time, char *out)
{
	char hex[2 * PROXY_WIRE_HASH + 1];

	proxy_field_put_hash(hex, challenge);
	snprintf(out, PROXY_WIRE_LINE_MAX, "hello %d %s %" PRIu64, PROXY_WIRE_VERSION, hex, time);
	w->step = HELLO;
	return say(w, side_server, out);
}

static int take_shoot(const char *p, struct proxy_wire_request *r)
{
	struct proxy_wire_request q = {0};
	char goal[16];

	if (!proxy_field_is(&p, "shoot") || !proxy_field_word(&p, goal, sizeof(goal)) ||
		!proxy_wire_goal(goal, &q.goal) || !proxy_field_number(&p, UINT64_MAX, &q.time) ||
		!proxy_field_number(&p, PROXY_WIRE_WITHIN_MAX, &q.within) ||
		!proxy_field_hash(&p, q.id) || !proxy_field_word(&p, q.victim, sizeof(q.victim)) ||
		!is_victim(q.victim) || !proxy_field_text(&p, q.why, sizeof(q.why)))
		return -EBADMSG;
	*r = q;
	return 0;
}

int proxy_wire_take_request(struct proxy_wire *w, const char *line, struct proxy_wire_request *r)
{
	int ret = -EBADMSG;

	if (w->step == HELLO) {
		ret = take_shoot(line, r);
		chain(w, side_client, line, strlen(line));
		w->step = ret == 0 ? REQUESTED : OVER;
	} else if (w->step == REQUESTED) {
		ret = take_mac(w, side_client, label_request, line);
		w->step = ret == 1 ? PROVEN : OVER;
	}
	return ret;
}

size_t proxy_wire_note(struct proxy_wire *w, const char *text, char *out)
{
	memcpy(out, "note ", 5);
	proxy_field_put_text(out + 5, PROXY_WIRE_TEXT_MAX, text);
	return say(w, side_server, out);
}

static size_t say_outlet(struct proxy_wire *w, const struct proxy_wire_outlet *o, char *out)
{
	char name[SHOOT_NAME_MAX];

	proxy_field_put_text(name, sizeof(name), o->name);
	snprintf(out, PROXY_WIRE_LINE_MAX, "outlet %d %" PRId32 " %d %" PRId32 " %d %d %s",
		(int)o->before, o->before_value, (int)o->last, o->last_value, (int)o->fault, o->set,
		name);
	return say(w, side_server, out);
}

size_t proxy_wire_answer(struct proxy_wire *w, const struct proxy_wire_answer *a, char *out)
{
	char text[PROXY_WIRE_TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < a->outlet_count; i++)
		len += say_outlet(w, &a->outlets[i], out + len);
	proxy_field_put_text(text, sizeof(text), a->text);
	snprintf(out + len, PROXY_WIRE_LINE_MAX, "verdict %s %s %" PRIu64 " %d %d %d %s",
		codes[a->code], goals[a->goal], a->ms, a->turning_on, a->on_failed, a->confirmed,
		text);
	len += say(w, side_server, out + len);
	w->step = OVER;
	return len + say_mac(w, side_server, label_answer, out + len);
}

size_t proxy_wire_refusal(const char *text, char *out)
{
	char printable[PROXY_WIRE_TEXT_MAX];

	proxy_field_put_text(printable, sizeof(printable), text);
	return (size_t)snprintf(out, PROXY_WIRE_LINE_MAX + 2, "refused %s\n", printable);
}

/* Client. */

size_t proxy_wire_request(struct proxy_wire *w, const struct proxy_wire_request *r, char *out)
{
	char id[2 * PROXY_WIRE_HASH + 1], why[PROXY_WIRE_WHY_MAX];
	size_t len;

	if (w->step != HELLO || !is_victim(r->victim))
		return 0;
	proxy_field_put_hash(id, r->id);
	proxy_field_put_text(why, sizeof(why), r->why);
	snprintf(out, PROXY_WIRE_LINE_MAX, "shoot %s %" PRIu64 " %" PRIu64 " %s %s %s",
		goals[r->goal], r->time, r->within, id, r->victim, why);
	len = say(w, side_client, out);
	w->step = REQUESTED;
	return len + say_mac(w, side_client, label_request, out + len);
}

static int take_hello(struct proxy_wire *w, const char *p, uint64_t *ret_time)
{
	uint8_t challenge[PROXY_WIRE_HASH];
	uint64_t version;

	if (!proxy_field_is(&p, "hello") || !proxy_field_number(&p, UINT64_MAX, &version))
		return -EBADMSG;
	if (version != PROXY_WIRE_VERSION)
		return -EPROTO;
	if (!proxy_field_hash(&p, challenge) || !proxy_field_number(&p, UINT64_MAX, ret_time) || *p)
		return -EBADMSG;
	w->step = HELLO;
	return PROXY_WIRE_HELLO;
}

static int take_outlet(struct proxy_wire *w, const char *p, struct proxy_wire_answer *a)
{
	struct proxy_wire_outlet o;
	unsigned before, last, fault;

	if (w->outlets == FENCE_OUTLETS_MAX || !proxy_field_choice(&p, OUTLET_FAULT, &before) ||
		!proxy_field_value(&p, &o.before_value) ||
		!proxy_field_choice(&p, OUTLET_FAULT, &last) ||
		!proxy_field_value(&p, &o.last_value) ||
		!proxy_field_choice(&p, FENCE_WRONG_SYSTEM, &fault) ||
		!proxy_field_flag(&p, &o.set) || !*p ||
		!proxy_field_text(&p, o.name, sizeof(o.name)))
		return -EBADMSG;
	o.before = (enum outlet_state)before;
	o.last = (enum outlet_state)last;
	o.fault = (enum fence_fault)fault;
	a->outlets[w->outlets++] = o;
	return PROXY_WIRE_MORE;
}

static int take_verdict(struct proxy_wire *w, const char *p, struct proxy_wire_answer *a)
{
	unsigned code;
	char word[16];

	if (!proxy_field_word(&p, word, sizeof(word)) ||
		!choose(word, codes, ARRAY_LEN(codes), &code) ||
		!proxy_field_word(&p, word, sizeof(word)) || !proxy_wire_goal(word, &a->goal) ||
		!proxy_field_number(&p, UINT64_MAX, &a->ms) ||
		!proxy_field_flag(&p, &a->turning_on) || !proxy_field_flag(&p, &a->on_failed) ||
		!proxy_field_flag(&p, &a->confirmed) ||
		!proxy_field_text(&p, a->text, sizeof(a->text)))
		return -EBADMSG;
	a->code = (enum proxy_wire_code)code;
	a->outlet_count = w->outlets;
	w->step = VERDICT;
	return PROXY_WIRE_MORE;
}

static int take_note(struct proxy_wire *w, const char *p, const char **ret_text)
{
	if (w->notes++ == PROXY_WIRE_NOTES_MAX || !str_is_utf8(p, strlen(p)))
		return -EBADMSG;
	*ret_text = p;
	return PROXY_WIRE_NOTE;
}

static int take_body(
	struct proxy_wire *w, const char *line, struct proxy_wire_answer *a, const char **ret_text)
{
	const char *p = line;

	if (proxy_field_is(&p, "note"))
		return take_note(w, p, ret_text);
	if (proxy_field_is(&p, "outlet"))
		return take_outlet(w, p, a);
	if (proxy_field_is(&p, "verdict"))
		return take_verdict(w, p, a);
	return -EBADMSG;
}

static int take_end(struct proxy_wire *w, const char *line)
{
	int ret = take_mac(w, side_server, label_answer, line);

	w->step = OVER;
	return ret == 1 ? PROXY_WIRE_ANSWERED : ret;
}

int proxy_wire_take(struct proxy_wire *w, const char *line, struct proxy_wire_answer *a,
	const char **ret_text, uint64_t *ret_time)
{
	const char *p = line;
	int ret = -EBADMSG;

	if (w->step != OVER && proxy_field_is(&p, "refused") && str_is_utf8(p, strlen(p))) {
		w->step = OVER;
		*ret_text = p;
		return PROXY_WIRE_NO;
	}
	if (w->step == VERDICT)
		return take_end(w, line);
	if (w->step == START)
		ret = take_hello(w, line, ret_time);
	else if (w->step == REQUESTED)
		ret = take_body(w, line, a, ret_text);
	chain(w, side_server, line, strlen(line));
	if (ret < 0)
		w->step = OVER;
	return ret;
}

static bool is_answer_to(enum fence_goal asked, enum fence_goal done)
{
	return done == asked || (asked == FENCE_CYCLE && done == FENCE_OFF);
}

bool proxy_wire_makes_sense(enum fence_goal goal, const struct proxy_wire_answer *a)
{
	enum outlet_state wanted = a->goal == FENCE_OFF ? OUTLET_OFF : OUTLET_ON;
	bool look = a->goal == FENCE_OFF || a->goal == FENCE_ON;

	if (a->code != PROXY_WIRE_DONE)
		return true;
	if (!is_answer_to(goal, a->goal))
		return false;
	for (size_t i = 0; look && !a->confirmed && i < a->outlet_count; i++) {
		if (a->outlets[i].last != wanted || a->outlets[i].fault != FENCE_NO_FAULT)
			return false;
	}
	return a->outlet_count > 0;
}

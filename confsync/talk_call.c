/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A conversation from call to end: the way to the peer, and the first words. Connecting has a time
 * of its own, shorter than the whole. What the hello says is no proof of who it is; that is the
 * host key (who calls) and the key in authorized_keys (who was called).
 */
#include "talk_inner.h"

#include "clock.h"
#include "secret.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct ssh_target target_of(const struct config *c, const char *key)
{
	const struct config_node *p = c->peer;

	return (struct ssh_target){
		.address = p->address,
		.port = p->port,
		.source = p->source,
		.user = c->general.user,
		.key = key,
		.key_file = c->general.key_file,
		.host_key = p->host_key_bytes,
		.host_key_len = p->host_key_len,
		.command = "xnbd-confsync --serve", /* what is forced on our key is not this text */
	};
}

/* What is being done is not told: errors say it. */
static void no_phase(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static int log_in(struct talk *t, const struct config *c, struct err *err)
{
	uint64_t now = clock_ms();
	int r = secret_read_text(c->general.key_file, &t->key, err);

	if (r < 0)
		return r;
	t->until = now + c->general.deadline * 1000;
	t->target = target_of(c, t->key);
	t->ssh.target = &t->target;
	t->ssh.phase = no_phase;
	r = ssh_open(&t->ssh, MIN_OF(t->until, now + c->general.connect_timeout * 1000), err);
	if (r == 0)
		ssh_limit(&t->ssh, t->until);
	return r;
}

static void name_peer(struct err *err, const char *node)
{
	char text[ERR_TEXT_MAX];

	if (!err || strncmp(err->text, node, strlen(node)) == 0)
		return;
	snprintf(text, sizeof(text), "%s: %.400s", node, err->text);
	memcpy(err->text, text, sizeof(text));
}

int talk_call(const struct config *c, struct talk **ret, struct err *err)
{
	struct talk *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, ENOMEM, "no memory");
	snprintf(t->peer, sizeof(t->peer), "%s", c->peer->name);
	t->over_ssh = true;
	t->ssh.fd = t->in = t->out = -1;
	r = log_in(t, c, err);
	if (r < 0)
		name_peer(err, c->peer->name);
	else
		r = talk_hello(t, c, false, err);
	if (r < 0)
		talk_end(t);
	else
		*ret = t;
	return r;
}

void talk_end(struct talk *t)
{
	struct message bye = {.kind = MESSAGE_BYE};
	struct err err;

	if (!t)
		return;
	if (t->initiator && !t->dead)
		talk_send(t, &bye, &err);
	if (t->over_ssh)
		ssh_close(&t->ssh);
	secret_free(t->key);
	free(t);
}

static int say_hello(struct talk *t, const struct config *c, struct err *err)
{
	struct message m = {.kind = MESSAGE_HELLO, .version = MESSAGE_VERSION};

	snprintf(m.node, sizeof(m.node), "%s", c->self->name);
	return talk_send(t, &m, err);
}

static int hear_hello(struct talk *t, const struct config *c, struct err *err)
{
	struct message m = {0};
	int r = talk_expect(t, MESSAGE_HELLO, &m, err);

	if (r < 0)
		return r;
	if (m.version != MESSAGE_VERSION)
		r = talk_fail(t, EPROTO,
			"it speaks another version of the protocol: install the same on both nodes",
			err);
	else if (strcmp(m.node, c->peer->name) != 0)
		r = err_set(err, EACCES,
			"%s: it says that it is node %s: wrong address, or another self in its "
			"configuration",
			t->peer, m.node);
	message_done(&m);
	return r;
}

int talk_hello(struct talk *t, const struct config *c, bool responder, struct err *err)
{
	struct err told = {0};
	int r;

	snprintf(t->peer, sizeof(t->peer), "%s", c->peer->name);
	r = responder ? 0 : say_hello(t, c, err);
	if (r == 0)
		r = hear_hello(t, c, err);
	if (r == 0 && responder)
		r = say_hello(t, c, err);
	if (r < 0 && !t->dead && responder)
		talk_refuse(t, MESSAGE_REFUSE, err ? err->text : "hello", &told);
	if (r < 0)
		t->dead = true;
	t->initiator = !responder;
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A conversation with the other node: frames and messages over SSH (who calls; lib/ssh.h) or over
 * stdin and stdout (who was called, by sshd). Blocking, each with one deadline for all of it; so it
 * runs in a process of its own where something else goes on.
 */
#ifndef CONFSYNC_TALK_H
#define CONFSYNC_TALK_H

#include "config.h"
#include "message.h"
#include "store.h"
#include "wire.h"

/* Why of a `refuse`: the set's lock is held there; try again. */
#define TALK_BUSY "busy"

struct talk;

/* Connects, logs in, says hello. ERR: one line for people with the node's name. */
int talk_call(const struct config *c, struct talk **ret, struct err *err);
/* Over two descriptors, for who was called, and tests. */
struct talk *talk_over(int in, int out, uint64_t until_ms);
/* First of all: both say who they are, in which version. The initiator speaks first. talk_call()
 * has done it. -EACCES: it is not our peer. */
int talk_hello(struct talk *t, const struct config *c, bool responder, struct err *err);
/* An initiator says `bye` if it can. */
void talk_end(struct talk *t);
/* It failed and cannot go on: the other side is gone or makes no sense, or the time is up. */
bool talk_dead(const struct talk *t);
/* It may not go on, whatever the other side says. */
void talk_kill(struct talk *t);

int talk_send(struct talk *t, const struct message *m, struct err *err);
/* -ECONNRESET: the other side has gone; -EPROTO: what it sent is none; -ETIMEDOUT; -EOPNOTSUPP: a
 * kind that we do not know, the conversation goes on. */
int talk_receive(struct talk *t, struct message *ret, struct err *err);
/* One of KIND (else: -EPROTO; `refuse` and `abort`: -EREMOTEIO "NODE refuses: text", -EBUSY if the
 * text is TALK_BUSY). */
int talk_expect(struct talk *t, enum message_kind kind, struct message *ret, struct err *err);
/* `refuse`, or another KIND that has but a text. */
int talk_refuse(struct talk *t, enum message_kind kind, const char *why, struct err *err);
int talk_send_generation(struct talk *t, const struct generation *g, struct err *err);
int talk_receive_generation(struct talk *t, struct generation *ret, struct err *err);
/* A content: message `data` and its frames. From FD, which has SIZE bytes from its start on (if not
 * the conversation is at its end: -EIO); the hash is compared by who receives. */
int talk_send_data(
	struct talk *t, const uint8_t hash[MANIFEST_HASH], uint64_t size, int fd, struct err *err);
/* After the message `data` M was received: to a batch of the store. What cannot be stored (-ENOSPC,
 * -EBADMSG: another content) is read to its end, so that the conversation can go on. */
int talk_receive_data(
	struct talk *t, const struct message *m, struct store_batch *b, struct err *err);
/* Bytes sent and received so far, without SSH: counted by tests. */
void talk_count(const struct talk *t, uint64_t *sent, uint64_t *received);

#endif

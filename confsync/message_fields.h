/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields of messages as JSON; inner to message.c and message_fields.c. Pure. */
#ifndef CONFSYNC_MESSAGE_FIELDS_H
#define CONFSYNC_MESSAGE_FIELDS_H

#include "message.h"

#include <jansson.h>

enum message_field {
	MESSAGE_FIELD_END,
	MESSAGE_FIELD_VERSION,
	MESSAGE_FIELD_NODE,
	MESSAGE_FIELD_SET,
	MESSAGE_FIELD_DEFINITION,
	MESSAGE_FIELD_TXN,
	MESSAGE_FIELD_TXN_OR_NONE,
	MESSAGE_FIELD_SIDE_NUMBER,
	MESSAGE_FIELD_SIDE_VECTOR,
	MESSAGE_FIELD_SIDE_DIGEST,
	MESSAGE_FIELD_SIDE_LIVE,
	MESSAGE_FIELD_EMPTY,
	MESSAGE_FIELD_ACTIVE,
	MESSAGE_FIELD_UNUSABLE,
	MESSAGE_FIELD_IN_DOUBT,
	MESSAGE_FIELD_FENCED,
	MESSAGE_FIELD_VECTOR,
	MESSAGE_FIELD_NUMBER,
	MESSAGE_FIELD_DIGEST,
	MESSAGE_FIELD_HASH,
	MESSAGE_FIELD_SIZE,
	MESSAGE_FIELD_COUNT,
	MESSAGE_FIELD_BYTES,
	MESSAGE_FIELD_SET_ASIDE,
	MESSAGE_FIELD_PUBLISH,
	MESSAGE_FIELD_RESULT,
	MESSAGE_FIELD_WHY,
	MESSAGE_FIELD_REASON,
	MESSAGE_FIELD_RELOAD,
	MESSAGE_FIELD_LIST,
};

const char *message_field_name(enum message_field f);
/* The field of M as a new value; NULL: no memory. */
json_t *message_field_get(const struct message *m, enum message_field f);
/* NULL, or what would have been right. A field that may be left out has V NULL. */
const char *message_field_put(struct message *m, enum message_field f, const json_t *v);

#endif

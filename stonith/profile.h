/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a family of PDUs calls its outlets: object identifiers and values, as a table. Families
 * differ in five ways in what means on and off, and a wrong profile takes on for off; so a PDU is
 * bound to a profile by its sysObjectID, nothing is guessed, and an outlet is off only if it reads
 * exactly the value that means off, of type INTEGER, with no command pending.
 *
 * Pure: requests as object identifiers out, values in.
 */
#ifndef STONITH_PROFILE_H
#define STONITH_PROFILE_H

#include "err.h"
#include "oid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_SYSOBJECTID "1.3.6.1.2.1.1.2.0"

enum {
	PROFILE_SYSTEMS = 4, /* sysObjectIDs */
	PROFILE_CANCELS = 3,
	PROFILE_IDLE = 3,
	PROFILE_USABLE = 3,
	PROFILE_READS = 1 + PROFILE_IDLE + PROFILE_USABLE, /* objects of an outlet read at a time */
};

/* An object and an INTEGER. */
struct profile_value {
	const char *oid; /* pattern; NULL = there is none */
	int32_t value;
};

/*
 * Holds if the object is an INTEGER of this value, or of one of AMONG; with BIT, if it is bits (an
 * OCTET STRING, BITS) and this bit is set. OFF_ONLY: it matters of outlets alone that read off.
 */
struct profile_check {
	const char *oid; /* pattern; NULL = no more */
	int32_t value;   /* or number of the bit, 0 = the highest of the first byte */
	bool bit, off_only;
	uint32_t among; /* bit N: value N is as good; 0 = no others */
};

struct profile {
	const char *name;
	const char *about;                    /* models, for people */
	const char *systems[PROFILE_SYSTEMS]; /* sysObjectIDs; "1.2.3.*": that and all below */
	uint8_t key_parts;                    /* numbers of an outlet's key, 1 to OID_KEY_MAX */
	const char *key_default; /* what may be left out of a key, in front: "1"; or NULL */
	const char *state;       /* pattern */
	int32_t state_on, state_off;
	struct profile_value off, on;
	/* Makes the PDU forget delayed commands: all of them, in one request. */
	struct profile_value cancel[PROFILE_CANCELS];
	/* What must hold of an outlet that is to count as off or on: no command pending ... */
	struct profile_check idle[PROFILE_IDLE];
	/* ... and of one that can be switched at all: it is switchable, its unit is connected. */
	struct profile_check usable[PROFILE_USABLE];
	const char *outlet_name; /* pattern; NULL = none, here and below */
	const char *watts;
	const char *count; /* of outlets: an object without a key */
};

/* What one object was read as. */
enum profile_kind {
	PROFILE_UNREAD, /* nothing was; 0, as the INTEGER 0 may mean off */
	PROFILE_INTEGER,
	PROFILE_BITS,    /* OCTET STRING */
	PROFILE_OTHER,   /* of another type: Gauge32, Counter64, NULL ... */
	PROFILE_MISSING, /* noSuchObject, noSuchInstance, endOfMibView, noSuchName */
	PROFILE_ERROR,   /* any other error, or it was not in the answer */
};

struct profile_reading {
	enum profile_kind kind;
	int32_t value;    /* INTEGER */
	uint8_t bits[8];  /* BITS, the first bytes */
	uint8_t bits_len; /* of them */
};

enum outlet_state {
	OUTLET_UNKNOWN, /* nothing was read yet */
	OUTLET_OFF,
	OUTLET_ON,
	OUTLET_PENDING,  /* off or on, but a command is pending, or that cannot be told */
	OUTLET_ODD,      /* a value that is neither */
	OUTLET_TYPE,     /* not an INTEGER */
	OUTLET_MISSING,  /* there is no such outlet */
	OUTLET_UNUSABLE, /* not switchable, or its unit is lost */
	OUTLET_FAULT,    /* the PDU refused to say */
	OUTLET_STATES,
};

/* Built-in ones, in the order of the manual. */
extern const struct profile profile_table[];
extern const size_t profile_count;
const struct profile *profile_find(const char *name);

/*
 * Is it whole and free of contradictions? -EINVAL: it has no sysObjectID, on and off are the same,
 * one object would be several outlets', a pattern is none ...
 */
int profile_check(const struct profile *p, struct err *err);

bool profile_has_system(const struct profile *p, const struct oid *sysobjectid);
bool profile_has_cancel(const struct profile *p);

/* An outlet's key as configured, made complete. -EINVAL: not one of this profile. */
int profile_key(const struct profile *p, const char *text, struct oid_key *ret, struct err *err);

/* What to GET of an outlet with the key of profile_key(): RET[0] is its state. How many. */
size_t profile_reads(
	const struct profile *p, const struct oid_key *k, struct oid ret[PROFILE_READS]);

/* What to SET to cancel what is pending, all in one request. How many; 0 = there is no such thing.
 */
size_t profile_cancels(const struct profile *p, const struct oid_key *k,
	struct oid oids[PROFILE_CANCELS], int32_t values[PROFILE_CANCELS]);
/* What to SET to switch it. False, as 0 above and below: the key is not one of profile_key(). */
bool profile_switch(const struct profile *p, const struct oid_key *k, bool on, struct oid *ret,
	int32_t *ret_value);

/*
 * What the answer, in the order of profile_reads(), says. A COUNT of too few is OUTLET_FAULT.
 * *ret_value: its state as read, 0 if that is no INTEGER.
 */
enum outlet_state profile_judge(const struct profile *p, const struct profile_reading *readings,
	size_t count, int32_t *ret_value);

/* "off", "on", "on or off, with a command pending" ... */
const char *profile_state_text(enum outlet_state s);

#endif

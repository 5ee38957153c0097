/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket activation as systemd does it, in a child, because its descriptors start at 3. */
#ifndef TESTS_LIB_ACTIVATE_H
#define TESTS_LIB_ACTIVATE_H

/* Says that COUNT sockets were passed to this process. */
void activate_say(const char *count);

/*
 * Runs FN in a child that has a copy of LISTENER as descriptors 3 and 4; it ends well when FN
 * returns. The result is the child's wait status.
 */
int activate_child(int listener, void (*fn)(void));

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The negotiator process: accepts clients and runs their handshakes, as nobody and behind a
 * system call filter, with no file but its sockets. It lives as long as its master.
 */
#ifndef WRAPPER_NEGOTIATOR_H
#define WRAPPER_NEGOTIATOR_H

/* The whole process; CHANNEL is its end of the channel to the master. Returns an exit status. */
int negotiator_main(int channel);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-stonith --proxy CALLER`, the forced command of a caller's key:
 *
 *	restrict,from="192.0.2.2",command="xnbd-stonith --proxy n2" ssh-ed25519 AAAA...
 */
#ifndef STONITH_PROXY_MAIN_H
#define STONITH_PROXY_MAIN_H

/* One request on stdin and stdout. Exit status: 0 = done and verified, 1 = not. */
int proxy_main(const char *config, const char *caller);

#endif

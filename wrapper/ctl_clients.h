/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer to the command "clients" as a table for people, on stdout. */
#ifndef WRAPPER_CTL_CLIENTS_H
#define WRAPPER_CTL_CLIENTS_H

#include <jansson.h>

void ctl_clients_print(json_t *answer);

#endif

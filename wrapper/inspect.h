/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at the configuration without serving: --check and --dump. Both return an exit status. */
#ifndef WRAPPER_INSPECT_H
#define WRAPPER_INSPECT_H

#include "settings.h"

/* FILES as settings_read() left it. Tells what could not be served now, which is no failure. */
int inspect_check(const struct settings *s, const struct conf *files);
int inspect_dump(const struct settings *s);

/* The lines of C on stderr, as they are, for an editor to jump to. */
void inspect_tell(const struct conf *c);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a command line. */
#ifndef LEDGER_NUMBER_H
#define LEDGER_NUMBER_H

#include <stdbool.h>

/* A run lasts a day at most. */
#define MAX_SECONDS 86400

/* Is @text a whole decimal number from @least to @most, with nothing behind it? Then it is in *@out. */
bool number_parse(const char *text, long least, long most, long *out);

#endif

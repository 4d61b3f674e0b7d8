/* SPDX-License-Identifier: Apache-2.0 */
/* A run of one side. */
#ifndef LEDGER_RUN_H
#define LEDGER_RUN_H

#include "settings.h"

/*
 * Runs one side to its end and prints the verdict of both sides as one line of JSON.
 * Returns the exit status: 0 clean, 1 something was lost, duplicated, corrupted or reordered,
 * 3 the run broke off (a failed completion, the control connection, a stall).
 */
int run(const struct settings *s);

#endif

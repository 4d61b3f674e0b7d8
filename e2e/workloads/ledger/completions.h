/* SPDX-License-Identifier: Apache-2.0 */
/* Taking completions. */
#ifndef LEDGER_COMPLETIONS_H
#define LEDGER_COMPLETIONS_H

#include "side.h"

/* Takes what both queues contain. Returns the number of completions, or -errno. */
int reap_all(struct side *side);
/*
 * Takes completions that an event has announced, and looks for a lost event when none
 * came for long. @now: CLOCK_MONOTONIC in nanoseconds. Returns the number of completions, or -errno.
 */
int handle_completions(struct side *side, int64_t now);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What is due by the clock. Times are of CLOCK_MONOTONIC, in nanoseconds. */
#ifndef LEDGER_SCHEDULE_H
#define LEDGER_SCHEDULE_H

#include "side.h"

/* Posts the rounds and acknowledgements that are due, sends the heartbeat. Returns 0 or -errno. */
int handle_time(struct side *side, int64_t now);
/* Returns -ETIMEDOUT when nothing has completed for --stall seconds, else 0. */
int check_progress(struct side *side, int64_t now);
/* Sleeps until something is due or arrives, at most 50 ms; yields when polling. */
void wait_for_work(struct side *side, int64_t now);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Time in nanoseconds. */
#ifndef LEDGER_CLOCK_H
#define LEDGER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SECOND 1000000000LL

/* Nanoseconds on the clock @id. */
int64_t clock_ns(clockid_t id);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The peer's lines on the control connection, and the phases of a run's end. */
#ifndef LEDGER_CLOSING_H
#define LEDGER_CLOSING_H

#include "side.h"

/* Takes every line that the peer has sent. Returns 0 or -errno. */
int handle_control(struct side *side);
/* Moves from one phase of the end to the next when its condition is met. Returns 0 or -errno. */
int advance(struct side *side);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening this side and meeting the peer. */
#ifndef LEDGER_OPENING_H
#define LEDGER_OPENING_H

#include "side.h"

/* Opens the device and all streams. Returns 0 or -errno. */
int open_all(struct side *side);
/* Meets the peer over TCP and connects every stream to its own. Returns 0 or -errno. */
int connect_all(struct side *side);

#endif

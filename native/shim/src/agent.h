/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's socket: one JSON object and a newline each way. */
#ifndef SHIM_AGENT_H
#define SHIM_AGENT_H

#include <jansson.h>

#include "reason.h"

/* Time without a connection, in milliseconds, after which the agent counts as gone. */
#define AGENT_LIMIT_MS	110000
/* The same where nothing depends on an answer. */
#define AGENT_BRIEF_MS		3000

/*
 * Sends @request and waits for the reply, however long a connected agent takes (a gate).
 * A connection that cannot be made or that closes without a reply is made again every 500 ms.
 *
 * Returns a new reference to a reply that says "ok", or NULL with @why filled: the agent's refusal,
 * no agent for @limit_ms, an unreadable reply, SIGTERM, the end of the parent process.
 */
json_t *agent_ask(const json_t *request, int limit_ms, struct reason *why);

/* Whether the agent listens. */
int agent_present(void);

#endif

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

/* A request whose reply may follow after notices. */
struct agent_call {
	const json_t *request;
	int limit_ms;
	int fd;			/* -1: not connected */
	int without_ms;		/* without a connection, since there was one */
};

/*
 * The next line of the agent: a notice, or the reply, which ends the call. As agent_ask() in all else: over a new
 * connection the request is sent again, and the agent repeats its notices.
 */
json_t *agent_next(struct agent_call *call, struct reason *why);

/* Whether a line is a notice: `{"ok":true,"notice":"<which>", ...}`. */
int agent_is_notice(const json_t *line);

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

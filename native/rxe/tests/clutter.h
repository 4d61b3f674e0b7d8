/* SPDX-License-Identifier: GPL-2.0 */
/* Objects beside those that a test uses, some of which cannot be moved. */
#ifndef CLUTTER_H
#define CLUTTER_H

#include <stdbool.h>

#include "endpoint.h"

struct clutter {
	struct ibv_mw *window;		/* both are refused; NULL: none */
	struct ibv_qp *unreliable;
};

/* All exit the process on failure. */

/* A random choice of objects in the context of @e; handles lead to @peer. */
void clutter_make(struct clutter *c, struct endpoint *e,
		  const union ibv_gid *peer);
/*
 * Does LIST have an object in the context of @e that cannot be moved? The rule is
 * the agent's (node-agent/src/node/device/supported-objects.ts).
 */
bool clutter_refused(const struct endpoint *e);
/* Destroy what is refused. */
void clutter_remove_refused(struct clutter *c);

#endif /* CLUTTER_H */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round r uses queue pair r and region r, each modulo its number. The client sends a request from its region; the server
 * receives it into its own, checks it, and answers with the address and key of that region, whose content it has changed; the client
 * READs that. So every queue pair, every completion queue with its event, and every key of either side has its turn.
 */
#ifndef MANY_ROUNDS_H
#define MANY_ROUNDS_H

#include "objects.h"

struct verdict {
	uint64_t rounds;
	uint64_t wrong;
};

/* Until the client says that it has ended. Return 0 or -errno, as the client's. */
int rounds_serve(struct objects *o, struct control *control, struct verdict *v);
/* @rate: rounds in a second. Prints `progress ROUNDS` each second, for @seconds. */
int rounds_ask(struct objects *o, struct control *control, unsigned int rate,
	       unsigned int seconds, struct verdict *v);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore that outlives the `create` that asked for it. The kubelet starts a pod's next container when
 * this one's create has returned, and the decision needs all of them at the resume gate: docs/adr/0006.
 */
#ifndef SHIM_BACKGROUND_H
#define SHIM_BACKGROUND_H

#include <jansson.h>

#include "oci_args.h"
#include "reason.h"

struct background {
	const struct oci_args *args;
	char **argv;			/* of `runc restore`, without --pid-file */
	int (*become)(char **argv);	/* runs it in place of the process */
	const json_t *at_gate;		/* asks the agent whether the restore is at the gate */
};

/*
 * Starts the restore and waits until it is at the resume gate; then writes the pid file and leaves it
 * running. It is given up when this process ends without having got that far.
 *
 * Returns 0, or -1 with @why filled; its code is empty if runc has said itself what went wrong.
 */
int background_restore(const struct background *order, struct reason *why);

#endif

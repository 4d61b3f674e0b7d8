/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore with a keeper, which cleans up after a `create` that is killed and lets a restore outlive one
 * that has returned. The kubelet starts a pod's next container when this one's create has returned, and the
 * decision needs all of them at the resume gate: docs/adr/0006.
 */
#ifndef SHIM_KEEPER_H
#define SHIM_KEEPER_H

#include <jansson.h>

#include "oci_args.h"
#include "reason.h"

struct kept_restore {
	const struct oci_args *args;
	char **argv;			/* of `runc restore` */
	const char *state;		/* path of the file with its outcome (outcome.h) */
	int (*become)(char **argv);	/* runs it in place of the process */
	/*
	 * Asks the agent whether the restore is at the gate: the create ends there, and writes the pid file
	 * itself. NULL: it ends with runc.
	 */
	const json_t *at_gate;
};

/*
 * Starts the restore and waits until it has ended or is at the resume gate, where it is left running. It is
 * given up when this process ends before.
 *
 * Returns 0, or -1 with @why filled; its code is empty if runc has failed, and has said itself why.
 */
int keeper_restore(const struct kept_restore *order, struct reason *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A restore with a keeper, which sees to its end when the `create` is killed: docs/adr/0021. */
#ifndef SHIM_KEEPER_H
#define SHIM_KEEPER_H

#include "oci_args.h"
#include "reason.h"

struct kept_restore {
	const struct oci_args *args;
	char **argv;			/* of `runc restore` */
	const char *state;		/* path of the file with its outcome (outcome.h) */
	int (*become)(char **argv);	/* runs it in place of the process */
};

/*
 * Starts the restore and waits until it has ended. It is given up when this process ends before.
 *
 * Returns 0, or -1 with @why filled; its code is empty if runc has failed, and has said itself why.
 */
int keeper_restore(const struct kept_restore *order, struct reason *why);

#endif

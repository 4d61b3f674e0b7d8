/* SPDX-License-Identifier: Apache-2.0 */
/* A restore with a keeper, which sees to its end when the `create` is killed: docs/adr/0021. */
#ifndef SHIM_KEEPER_H
#define SHIM_KEEPER_H

#include <jansson.h>
#include <sys/types.h>

#include "oci_args.h"
#include "reason.h"

struct kept_restore {
	const struct oci_args *args;
	char **argv;			/* of `runc restore` */
	const json_t *environment;	/* strings, for runc and CRIU */
	const char *images;		/* their directory */
	int fifo;			/* where runc waits for them (ahead.h); -1: nowhere */
	const char *state;		/* path of the file with its outcome (outcome.h) */
	int unused_fd;			/* the keeper closes it; -1: none */
	/* Runs it in place of the process. */
	int (*become)(const struct kept_restore *order);
};

/* A restore that was started. */
struct kept {
	pid_t keeper;
	int ended;		/* readable once the keeper has ended */
	int created;		/* the keeper sees it close */
};

/*
 * Starts the restore. It is given up when this process ends before. Until keeper_begin() it has no outcome, however it
 * ends. Returns 0, or -1 with @why filled.
 */
int keeper_start(const struct kept_restore *order, struct kept *kept, struct reason *why);

/* Whether the restore has not ended. */
int keeper_is_there(const struct kept *kept);

/* From now on the restore has an outcome. Returns 0, or -1 if the keeper has ended. */
int keeper_begin(const struct kept *kept);

/*
 * Waits until the restore has ended. Returns 0, or -1 with @why filled; its code is empty if runc has failed, and has
 * said itself why.
 */
int keeper_finish(const struct kept_restore *order, struct kept *kept, struct reason *why);

/* Ends a restore that was not begun, and waits for its end. */
void keeper_give_up(struct kept *kept);

#endif

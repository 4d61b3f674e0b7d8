/* SPDX-License-Identifier: Apache-2.0 */
/* `runc restore` in the place of `runc create`. */
#ifndef SHIM_RESTORE_H
#define SHIM_RESTORE_H

#include <jansson.h>

#include "keeper.h"
#include "oci_args.h"
#include "reason.h"

/* A restore whose runc was started before its images were there. Zeroed: none. */
struct restore_ahead {
	json_t *notice;			/* by which it was started; NULL: none */
	char **argv;
	char *state;
	struct kept_restore order;
	struct kept kept;
};

/*
 * Starts runc ahead of the reply, as the agent's @notice says. It need not succeed: restore_container() starts runc
 * then. Takes @notice.
 * @agent_fd: the connection to the agent, which is this process' alone
 */
void restore_ahead(struct restore_ahead *ahead, char **argv, const struct oci_args *args, json_t *notice,
		   int agent_fd);

/* Ends a runc that was started ahead and is of no use. */
void restore_ahead_end(struct restore_ahead *ahead);

/*
 * Restores the container that @argv would create, as the agent's @reply says, with the runc that was started ahead if
 * it has been told the same.
 * Returns 0, or -1 with @why filled; its code is empty if runc has failed: the reason is in its log then.
 */
int restore_container(char **argv, const struct oci_args *args, json_t *reply,
		      struct restore_ahead *ahead, struct reason *why);

#endif

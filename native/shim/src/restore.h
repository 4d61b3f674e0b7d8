/* SPDX-License-Identifier: Apache-2.0 */
/* `runc restore` in the place of `runc create`. */
#ifndef SHIM_RESTORE_H
#define SHIM_RESTORE_H

#include <jansson.h>

#include "oci_args.h"
#include "reason.h"

/*
 * Restores the container that @argv would create, as the agent's @reply says.
 * Returns 0, or -1 with @why filled; its code is empty if runc has failed: the reason is in its log then.
 */
int restore_container(char **argv, const struct oci_args *args, json_t *reply, struct reason *why);

#endif

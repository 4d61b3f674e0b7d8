/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of a restore, for the agent: a file in the restore's work directory. The CRIU plugin writes it
 * ($SEALIFT_STATE); sealift-runc completes it once runc has ended.
 * docs/architecture.md, "Outcome of a dump or restore".
 */
#ifndef SHIM_OUTCOME_H
#define SHIM_OUTCOME_H

#include <limits.h>

#include "reason.h"

/* Names the file for CRIU's plugin and removes an earlier attempt's. Returns 0, or -1 with @why filled. */
int outcome_begin(const char *work_path, char path[PATH_MAX], struct reason *why);

/* runc has ended with @status, as of waitpid(). */
void outcome_end(const char *path, int status);

#endif

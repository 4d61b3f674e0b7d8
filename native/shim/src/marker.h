/* SPDX-License-Identifier: Apache-2.0 */
/* Files in a container's bundle that say what state the container is in, for the calls that come later. */
#ifndef SHIM_MARKER_H
#define SHIM_MARKER_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "reason.h"

/* With this marker `start` has nothing to start. Both return 0 or -1 with errno. */
int marker_set_restored(const char *bundle);
int marker_clear_restored(const char *bundle);

/*
 * The marker that stands while a restore is under way: no exec may enter what was restored before the
 * decision, and the plugin gives the restore up when the marker goes. It names the calling process and @runc
 * (0: not started yet) and counts for nothing when both have ended. Sets it anew if it is there.
 */
int marker_set_waiting(const char *bundle, pid_t runc);
int marker_clear_waiting(const char *bundle);
/* Its path. Returns 0, or -1 if that is too long. */
int marker_waiting_path(const char *bundle, char path[PATH_MAX]);

/*
 * Whether the bundle of runc's container @id under @root has the marker: 1 or 0, 0 too if runc has no such
 * container; -1 with @why filled if runc's state of it cannot be read.
 */
int marker_is_restored(const char *root, const char *id, struct reason *why);
int marker_is_waiting(const char *root, const char *id, struct reason *why);

/*
 * The same for the marker that the agent sets while it moves or checkpoints a running container; its first
 * line, by whose request, comes in @by, empty if it has none.
 */
int marker_is_moving(const char *root, const char *id, char *by, size_t size, struct reason *why);

/* The first process of runc's container @id under @root; 0 with @why filled if runc keeps no state of it. */
long long marker_init_pid(const char *root, const char *id, struct reason *why);

#endif

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

/* The marker that stands while a restore is under way: the plugin gives the restore up when it goes. */
int marker_set_waiting(const char *bundle);
int marker_clear_waiting(const char *bundle);
/* Its path. Returns 0, or -1 if that is too long. */
int marker_waiting_path(const char *bundle, char path[PATH_MAX]);

/*
 * Whether the bundle of runc's container @id under @root has the marker: 1 or 0, 0 too if runc has no such
 * container; -1 with @why filled if runc's state of it cannot be read.
 */
int marker_is_restored(const char *root, const char *id, struct reason *why);

/*
 * A restored container's `start`: tells the agent, by another file in the bundle, that the `create` has
 * returned. As marker_is_restored(); -1 too if the file cannot be made.
 */
int marker_start_restored(const char *root, const char *id, struct reason *why);

/*
 * The same for the marker that the agent sets while it moves or checkpoints a running container; its first
 * line, by whose request, comes in @by, empty if it has none.
 */
int marker_is_moving(const char *root, const char *id, char *by, size_t size, struct reason *why);

/*
 * Kills a restored container that the agent has not resumed yet, all tasks at once: runc's own kill thaws the
 * cgroup after it has killed the first task. Does nothing to others.
 */
void marker_kill_frozen(const char *root, const char *id);

#endif

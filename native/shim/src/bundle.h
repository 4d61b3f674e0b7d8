/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI bundle: whose container it is, and whether it was restored. */
#ifndef SHIM_BUNDLE_H
#define SHIM_BUNDLE_H

#include <jansson.h>
#include <limits.h>

/*
 * Reads <bundle>/config.json. Returns a new object with the members namespace, pod, podUid, container
 * and sandboxId if its annotations, containerd's or CRI-O's, say that this is a container of a pod
 * and not the pod's sandbox; else NULL.
 */
json_t *bundle_identity(const char *bundle);

/* The marker that tells `start` that there is nothing to start. Both return 0 or -1 with errno. */
int bundle_mark_restored(const char *bundle);
int bundle_unmark(const char *bundle);

/*
 * The marker that stands while a restore in the background has not been let go: what it has rebuilt must
 * not be joined by anybody, and is given up when the marker goes.
 */
int bundle_mark_waiting(const char *bundle);
int bundle_unmark_waiting(const char *bundle);
/* Its path. Returns 0, or -1 if that is too long. */
int bundle_waiting_path(const char *bundle, char path[PATH_MAX]);

/* Whether runc's container @id under @root comes from a bundle with the marker. */
int bundle_is_restored(const char *root, const char *id);
/* The same for the marker of a restore in the background. */
int bundle_is_waiting(const char *root, const char *id);

/* The first process of runc's container @id under @root, 0 if runc keeps no state of it. */
long long bundle_init_pid(const char *root, const char *id);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI bundle: whose container it is, and whether it was restored. */
#ifndef SHIM_BUNDLE_H
#define SHIM_BUNDLE_H

#include <jansson.h>

/*
 * Reads <bundle>/config.json. Returns a new object with the members namespace, pod, podUid, container
 * and sandboxId if its annotations, containerd's or CRI-O's, say that this is a container of a pod
 * and not the pod's sandbox; else NULL.
 */
json_t *bundle_identity(const char *bundle);

/* The marker that tells `start` that there is nothing to start. Both return 0 or -1 with errno. */
int bundle_mark_restored(const char *bundle);
int bundle_unmark(const char *bundle);

/* Whether runc's container @id under @root comes from a bundle with the marker. */
int bundle_is_restored(const char *root, const char *id);

#endif

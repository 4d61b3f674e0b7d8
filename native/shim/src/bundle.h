/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI bundle: whose container it is. */
#ifndef SHIM_BUNDLE_H
#define SHIM_BUNDLE_H

#include <jansson.h>

#include "reason.h"

enum bundle_kind {
	BUNDLE_UNKNOWN,
	BUNDLE_SANDBOX,		/* of a pod: has nothing that is restored */
	BUNDLE_CONTAINER,
};

/*
 * Reads <bundle>/config.json, whose annotations are containerd's or CRI-O's. For a pod's container
 * *@container becomes a new object with the members namespace, pod, podUid, container and sandboxId; else it
 * is NULL. BUNDLE_UNKNOWN, with @why filled (BadBundle): the file cannot be read, or says neither.
 */
enum bundle_kind bundle_read(const char *bundle, json_t **container, struct reason *why);

#endif

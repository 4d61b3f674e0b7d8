/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's own network, for a pod that keeps its address (docs/adr/0023). */
#ifndef SHIM_CNI_POD_H
#define SHIM_CNI_POD_H

#include <jansson.h>

#include "cni_call.h"

/* Whether this configuration wraps the cluster's own network (`"podNetwork": true`). */
int cni_is_pod(const json_t *conf);

/*
 * Runs the plugins that the agent names, in order. The agent then may give the interface other addresses,
 * and the result is what it says. Prints the result or an error; returns the exit status.
 */
int cni_pod_add(const struct cni *cni);

/*
 * Runs the same plugins in reverse, from a file that the ADD has left: neither the agent nor the node's
 * configuration need be as they were. Without a file there is nothing to undo.
 */
int cni_pod_delete(const struct cni *cni);

#endif

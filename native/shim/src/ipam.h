/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-local's records on this node of addresses that pods ask for, and where such records are. A record is a file
 * `<dataDir>/<network>/<address>` with the sandbox's id, CR, LF and the interface's name
 * (plugins/ipam/host-local/backend/disk).
 */
#ifndef SHIM_IPAM_H
#define SHIM_IPAM_H

#include <jansson.h>

#include "cni_call.h"
#include "reason.h"

/*
 * Whether the addresses that @delegate, a configuration with its own IPAM, asks for can be recorded: by host-local, or
 * by nobody, because IPAM gives none of its own. Returns 0, or -1 with @why filled.
 */
int ipam_check(const json_t *delegate, struct reason *why);

/*
 * Records these addresses for the pod, so that host-local gives them to nobody before the pod's DEL, and notes for the
 * agent where the node's records are. @has_moved: the pod may take an address that is reserved, and leaves it so.
 * May be repeated. Returns 0, or -1 with @why filled and nothing recorded that was not before.
 */
int ipam_claim(const struct cni *cni, const json_t *delegate, int has_moved, struct reason *why);

#endif

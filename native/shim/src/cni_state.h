/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the DEL of an interface needs, in a file for each: it outlives a boot, as IPAM's records do. A file is
 * replaced as a whole, so that a crash leaves the former one or the new one.
 */
#ifndef SHIM_CNI_STATE_H
#define SHIM_CNI_STATE_H

#include <jansson.h>

#include "cni_call.h"

/* Durable once it returns 0; else -1 with @why filled, and the former file is there still. */
int cni_state_save(const struct cni *cni, const json_t *state, struct reason *why);

/* A new object; NULL if there is none or it cannot be read. -1 in @failed, with @why filled, for a bad name. */
json_t *cni_state_load(const struct cni *cni, int *failed, struct reason *why);

/* Removes it. The last one takes the directory along. */
void cni_state_remove(const struct cni *cni);

#endif

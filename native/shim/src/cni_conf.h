/* SPDX-License-Identifier: Apache-2.0 */
/* The network configuration that a CNI plugin gets on standard input. */
#ifndef SHIM_CNI_CONF_H
#define SHIM_CNI_CONF_H

#include <jansson.h>

#include "reason.h"

/* Reads standard input. Returns a new object, or NULL with @why filled. */
json_t *cni_conf_read(struct reason *why);

/* Its cniVersion, "0.3.1" if it has none or @conf is NULL. */
const char *cni_conf_version(const json_t *conf);

/* What of a configuration the plugin is to get. */
enum cni_conf_parts {
	CNI_RESULT = 1,		/* prevResult too */
	CNI_OWN_IPAM = 2,	/* the IPAM that the network has, also where addresses are given */
};

/*
 * The configuration for the plugin in @conf's `delegate`, a new object: the delegate's own members,
 * with @conf's name, cniVersion and runtimeConfig.
 * runtimeConfig is cut down to the delegate's `capabilities` if it lists any. @wish may be NULL, or an
 * agent's reply whose `ips` and `mac` come before those of runtimeConfig.
 * Where addresses are given and the delegate's IPAM would choose its own, IPAM becomes `static`.
 */
json_t *cni_conf_delegate(const json_t *conf, const json_t *wish, enum cni_conf_parts parts,
			  struct reason *why);

/* The part of @conf's runtimeConfig that @plugin has capabilities for, all of it if it lists none. A new object. */
json_t *cni_conf_runtime(const json_t *conf, const json_t *plugin);

/*
 * A macvlan in bridge mode takes every frame for its MAC that a sibling on this host sends, though the
 * pod that it is to replace still runs elsewhere. Has the plugin of @delegate, a configuration that
 * cni_conf_delegate() made, create one that does not; the agent ends that when the pod may be heard.
 * Returns whether anything was changed.
 */
int cni_conf_hide(json_t *delegate);

#endif

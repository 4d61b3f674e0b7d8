/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the CNI plugin, and what its kinds of network have in common. */
#ifndef SHIM_CNI_CALL_H
#define SHIM_CNI_CALL_H

#include <jansson.h>

#include "reason.h"

/* Error codes of the CNI specification, and one of our own. */
#define CNI_BAD_ENVIRONMENT	4
#define CNI_BAD_CONFIGURATION	7
#define CNI_TRY_LATER		11
#define CNI_NOT_AVAILABLE	50
#define CNI_FAILED		100

struct cni {
	json_t *conf;
	const char *container;
	const char *netns;
	const char *ifname;
	int hidden;	/* the interface was made so, as the agent asked */
};

/* Prints the error object of the specification; @conf may be NULL. Returns 1, the exit status. */
int cni_print_error(const json_t *conf, int code, const struct reason *why);

/* The specification's code for a reason. */
int cni_error_code(const struct reason *why);

/*
 * Asks the agent about this call. The members of @more, which may be NULL and is released here, come on top.
 * Returns its reply, or NULL with @why filled.
 */
json_t *cni_ask(const struct cni *cni, const char *phase, int limit_ms, json_t *more,
		struct reason *why);

#endif

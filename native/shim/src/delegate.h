/* SPDX-License-Identifier: Apache-2.0 */
/* Running another CNI plugin. */
#ifndef SHIM_DELEGATE_H
#define SHIM_DELEGATE_H

#include <jansson.h>

#include "reason.h"

/*
 * Runs the plugin named by @conf's `type`, found in CNI_PATH, with CNI_COMMAND set to @command and
 * @conf on its standard input. Its standard error is ours.
 *
 * Returns its exit status, 0 for success, with *@output what it printed (the caller's to free, may
 * be NULL), or -1 with @why filled if it could not be run or was killed.
 */
int delegate_run(const json_t *conf, const char *command, char **output, struct reason *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime that does the work. */
#ifndef SHIM_RUNC_H
#define SHIM_RUNC_H

const char *runc_path(void);
/* Takes this process's place with @argv's arguments. Returns 1 if it cannot. */
int runc_become(char **argv);

#endif

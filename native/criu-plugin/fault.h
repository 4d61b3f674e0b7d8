/* SPDX-License-Identifier: GPL-2.0 */
/* Fault points, for tests. */
#ifndef SEALIFT_FAULT_H
#define SEALIFT_FAULT_H

#include <stdbool.h>

/*
 * fault - whether a named point is to fail
 *
 * SEALIFT_FAULT is a comma list of points. "name" makes fault() true once for
 * each time that it is passed; "name:kill" ends the process there with
 * SIGKILL. Points come in pairs, "x.before" and "x.after" the effect x.
 */
bool fault(const char *point);

#endif

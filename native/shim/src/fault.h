/* SPDX-License-Identifier: Apache-2.0 */
/* Named points at which a test can make the shim fail: docs/faults.md. */
#ifndef SHIM_FAULT_H
#define SHIM_FAULT_H

/*
 * fault - pass a point
 * Does nothing unless a file of that name lies in SEALIFT_FAULT_DIR, or in
 * the node's folder of faults. The file goes as the point trips, and says
 * what happens: "crash" or nothing (SIGKILL), "throw" (exit status 1),
 * "delay:<milliseconds>".
 */
void fault(const char *point);

#endif

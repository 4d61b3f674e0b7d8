/* SPDX-License-Identifier: Apache-2.0 */
/* Start time and end of another process. */
#ifndef SHIM_PROCESS_H
#define SHIM_PROCESS_H

#include <sys/types.h>

/*
 * When the process was started, in clock ticks since boot: with its pid it names a process for good.
 * 0: there is none, or it has ended and is only not waited for.
 */
unsigned long long process_start_time(pid_t pid);

/* Waits until the process has ended. Returns whether it has within @timeout_ms. */
int process_ends(pid_t pid, int timeout_ms);

#endif

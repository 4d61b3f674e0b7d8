/* SPDX-License-Identifier: Apache-2.0 */
/* A pidfd of a task. */
#ifndef SHIM_PIDFD_H
#define SHIM_PIDFD_H

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* A descriptor that is readable once the task has ended; -1 with errno set. */
static inline int pidfd_of(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* CPU affinity of a thread. */
#ifndef SEALIFT_CPU_AFFINITY_H
#define SEALIFT_CPU_AFFINITY_H

#include <sys/types.h>

/* Room for a list of processors as the kernel writes it, "0-3,8". */
#define CPU_LIST_SIZE 4096

/* Of a thread that may run wherever its cgroup may. */
#define CPU_ALL "all"

/* The processors that a thread has been confined to, or CPU_ALL, into @text of CPU_LIST_SIZE bytes. 0 or -errno. */
int cpu_affinity_read(pid_t tid, char *text);

/* Confine a thread to just these. 0, -ENODEV if this node lacks one of them, or -errno. */
int cpu_affinity_restore(pid_t tid, const char *text);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CRIU 4.1.1 dumps and then cannot restore:
 *
 * - a scheduling policy that its validate_sched_parm() does not know (SCHED_DEADLINE, SCHED_EXT);
 * - a POSIX timer that signals the first thread (SIGEV_THREAD_ID). CRIU writes timers before it has numbered that
 *   thread (dump_one_task(): dump_task_threads() comes later), so the image says that they signal thread -1.
 */
#ifndef SEALIFT_UNRESTORABLE_H
#define SEALIFT_UNRESTORABLE_H

#include <sys/types.h>

/* Refuse to dump a process that has such. 0 or -errno, never -ENOTSUP, with the reason in the log. */
int unrestorable_check(pid_t pid);

#endif

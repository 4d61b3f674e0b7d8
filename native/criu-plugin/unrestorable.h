/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CRIU 4.1.1 dumps and then cannot restore:
 *
 * - a scheduling policy that its validate_sched_parm() does not know (SCHED_DEADLINE, SCHED_EXT);
 * - a POSIX timer that signals the first thread (SIGEV_THREAD_ID). CRIU writes timers before it has numbered that
 *   thread in its list (dump_one_task(): dump_task_threads() comes later), and the number that it writes is what was in
 *   that memory. timer_create() refuses it in the restore; if it is 0, the dump itself fails. As it is of any length in
 *   the image, it cannot be corrected there.
 */
#ifndef SEALIFT_UNRESTORABLE_H
#define SEALIFT_UNRESTORABLE_H

#include <sys/types.h>

/* Refuse to dump a process that has such. 0 or -errno, never -ENOTSUP, with the reason in the log. */
int unrestorable_check(pid_t pid);

#endif

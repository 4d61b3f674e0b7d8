/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Semaphores of System V that the kernel gives back at a process's end (semop(2), SEM_UNDO). CRIU 4.1.1 restores their values and
 * forgets what is to be given back.
 */
#ifndef SEALIFT_SEMAPHORES_H
#define SEALIFT_SEMAPHORES_H

#include <sys/types.h>

/*
 * semaphores_any - are there some in the process's IPC namespace?
 * 0, 1 or -errno.
 */
int semaphores_any(pid_t pid);

/*
 * semaphores_held - would a thread of the process give some back at its end?
 * @tid: which one
 *
 * It and all others that can use them are stopped with us as their tracer. Changes nothing.
 * 0; 1 and the thread in *@tid; -EACCES if it may not use them, with the thread as well; -ENOTSUP for 32-bit code, with the
 * reason in the log; or another -errno.
 */
int semaphores_held(pid_t pid, pid_t *tid);

#endif

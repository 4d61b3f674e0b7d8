/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CRIU 4.1.1 neither keeps nor refuses, and what a restore would change without a word: a thread that does not share
 * with its process what threads share, a thread's Syscall User Dispatch, semaphores that are given back at a process's end.
 */
#ifndef SEALIFT_UNSHARED_H
#define SEALIFT_UNSHARED_H

#include <sys/types.h>

/*
 * unshared_check - refuse to dump a process that a restore would change so
 *
 * All its threads are stopped with us as their tracer. Changes nothing.
 * 0 or -errno, never -ENOTSUP, with the reason in the log.
 */
int unshared_check(pid_t pid);

#endif

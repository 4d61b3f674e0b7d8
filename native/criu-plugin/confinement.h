/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a process has confined itself with and nobody can read, so that a restore could not tell that it is lost: a
 * Landlock domain, PR_SET_MDWE, PR_MCE_KILL. The process itself is asked, by system calls that are injected.
 */
#ifndef SEALIFT_CONFINEMENT_H
#define SEALIFT_CONFINEMENT_H

#include <sys/types.h>

/*
 * confinement_check - refuse to dump a process that would lose a confinement
 *
 * All its threads are stopped with us as their tracer, and are left as they were.
 * 0 or -errno, never -ENOTSUP, with the reason in the log.
 */
int confinement_check(pid_t pid);

#endif

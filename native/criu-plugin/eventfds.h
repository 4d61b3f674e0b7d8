/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CRIU 4.1.1 forgets EFD_SEMAPHORE: a restored eventfd would give its whole count to the first reader. Nobody can set
 * the flag of one that is there.
 */
#ifndef SEALIFT_EVENTFDS_H
#define SEALIFT_EVENTFDS_H

#include <sys/types.h>

/* Refuse to dump a process that has such an eventfd. 0 or -errno, never -ENOTSUP, with the reason in the log. */
int eventfds_check(pid_t pid);

#endif

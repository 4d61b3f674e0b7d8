/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A CRIU that the agent has started before its pod is locked: it has been loaded, has read its configuration and
 * looked at the kernel, and waits here, before it reads or touches anything of a task (cr_dump_tasks() begins with
 * the plugins).
 */
#ifndef SEALIFT_AHEAD_H
#define SEALIFT_AHEAD_H

/*
 * ahead_wait - until the file that $SEALIFT_DUMP_WHEN names is there
 *
 * Says that it waits by a file of that name with ".waits" behind it. Without the variable it does not wait.
 * 0 or -errno with the reason logged: runc has ended, nobody has made the file for a long time, or a system call
 * has failed.
 */
int ahead_wait(void);

#endif

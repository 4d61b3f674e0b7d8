/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What restricts a process: recorded at the dump, compared with the restored
 * process before the gate opens. What CRIU does not keep is put back; for
 * anything else that differs the restore fails and names it.
 */
#ifndef SEALIFT_SETTINGS_H
#define SEALIFT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "image_settings.h"

/* Of a dump: forget an earlier one's images; record a frozen process. 0 or -errno with the reason in the log. */
int settings_dump_begin(int dir);
int settings_dump_task(int dir, pid_t pid);
void settings_dump_end(void);

/*
 * settings_restore_begin - read the images, and give CRIU what its tasks will inherit
 *
 * Before CRIU forks: a cgroup namespace of the container's own, if the source had one, and a session keyring that is
 * not the node's.
 * 0 or -errno with the reason in the log.
 */
int settings_restore_begin(int dir);

/*
 * settings_restore - compare the restored processes, all stopped, with the images; put back what differs
 * @tree: the processes, the first one first
 * 0 or -errno with the reason in the log.
 */
int settings_restore(const pid_t *tree, size_t count);
void settings_restore_end(void);

/*
 * settings_read_thread - what restricts a thread, into @thread
 * @leader: it is its process's first one; what belongs to the process is recorded with that one
 * 0 or -errno.
 */
int settings_read_thread(pid_t tid, bool leader, PB(Thread) *thread);

/* Make @tid's setting the recorded one, if that can be done from outside. 0, -ENOTSUP or -errno. */
int settings_put_back(pid_t tid, const PB(Setting) *setting);

const PB(Setting) *settings_find(const PB(Thread) *thread, const char *name);

#endif

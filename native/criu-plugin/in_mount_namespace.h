/* SPDX-License-Identifier: GPL-2.0 */
/* Work in a container's mount namespace, or another one of its. */
#ifndef SEALIFT_IN_MOUNT_NAMESPACE_H
#define SEALIFT_IN_MOUNT_NAMESPACE_H

#include <stdint.h>
#include <sys/types.h>

/*
 * in_namespace - run @fn in a namespace of @pid
 * @name: in /proc/PID/ns
 * @type: CLONE_NEW...
 *
 * In a process of its own: the kernel changes a mount only for somebody in its namespace. That process sends no
 * SIGCHLD, on which CRIU has a handler. What @fn changes in memory is lost.
 * Returns what @fn has returned, 0 or -errno.
 */
int in_namespace(pid_t pid, const char *name, int type, int (*fn)(void *arg), void *arg);
int in_mount_namespace(pid_t pid, int (*fn)(void *arg), void *arg);

/*
 * open_mount - an O_PATH descriptor of the mount @id that lies on @path, escaped as in mountinfo
 *
 * No symbolic link is followed: the container may have changed the path since. Or -errno.
 */
int open_mount(const char *path, uint64_t id);

/* The same for any path, which may be no mount point. */
int open_plain(const char *path);

#endif

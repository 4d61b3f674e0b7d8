/* SPDX-License-Identifier: GPL-2.0 */
/* Files and directories that a process watches (inotify). */
#ifndef SEALIFT_WATCHES_H
#define SEALIFT_WATCHES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * watches_name - see to it that the kernel knows a name of all that the frozen @pid watches
 *
 * CRIU asks the kernel for the name of what lies behind a watch's file handle. A kernel that has forgotten it, as it does
 * with names that nobody uses, gives none for a file; then CRIU records the handle alone, which is another file's on
 * another node, or none's. So what has no name is searched for, and kept open until watches_end().
 * 0, or -errno after log_fail().
 */
int watches_name(pid_t pid);

void watches_end(void);

#define WATCH_HANDLE_BYTES 128

struct watch {
	uint64_t inode;
	dev_t device;
	unsigned int handle_bytes;
	int handle_type;
	uint8_t handle[WATCH_HANDLE_BYTES];
};

/* A line of an inotify descriptor's fdinfo (fs/notify/fdinfo.c). 0, -ENOENT for another line, or -EINVAL. */
int watch_parse(const char *line, struct watch *watch);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* What /proc/PID/mountinfo says (proc_pid_mountinfo(5)). */
#ifndef SEALIFT_MOUNTINFO_H
#define SEALIFT_MOUNTINFO_H

#include <stdint.h>
#include <sys/types.h>

struct mountinfo_line {
	uint64_t id;
	char *path;		/* escaped, see mountinfo_unescape() */
	char *options;
};

/*
 * Call @fn for every mount of @pid, from below upwards, until it returns other than 0; returns that.
 * -errno if the file cannot be opened.
 */
int mountinfo_each(pid_t pid, int (*fn)(const struct mountinfo_line *line, void *arg), void *arg);

/* mount_setattr(2)'s flags for a line's options. */
uint64_t mountinfo_attributes(const char *options);

/* "\040" and the like, which mountinfo has for white space and backslashes. In place. */
void mountinfo_unescape(char *path);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* Looking at other processes through /proc and pidfds. Pids are CRIU's, unless said otherwise. */
#ifndef SEALIFT_TASKS_H
#define SEALIFT_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* A file of /proc/PID, for reading, or NULL and errno. */
FILE *task_open(pid_t pid, const char *name);

/* Have two threads another one of @type (kcmp(2))? 0, 1 or -errno; 0 where the kernel does not say it. */
int task_differs(pid_t one, pid_t other, int type);

/* Signals that wait for thread @tid, or for its process: bit 0 is signal 1. 0 or -errno. */
int task_pending(pid_t tid, uint64_t *signals);

/* The pid as the process itself sees it, which a restore keeps. 0 or -errno. */
int task_inner_pid(pid_t pid, uint32_t *inner);

/*
 * task_refuse - say in the log that a thread cannot be dumped, and why
 * @what: what is true of it, from its verb on: "has ..."
 * @advice: what to do, or NULL
 *
 * Returns -EPERM: CRIU takes ENOTSUP for a hook that has nothing to do.
 */
int task_refuse(pid_t tid, const char *what, const char *advice);

/* A descriptor of ours for the open file behind the other's @fd, or -errno. */
int task_get_fd(pid_t pid, int fd);

/* Do two of our descriptors stand for one open file? */
bool task_same_file(int a, int b);

/*
 * Call @fn for every descriptor with what it links to, until it returns
 * other than 0; returns that.
 */
int task_each_fd(pid_t pid, int (*fn)(pid_t pid, int fd, const char *link, void *arg), void *arg);

struct task_map {
	uint64_t start, end, offset;
	uint32_t protection;	/* PROT_* */
	char path[256];		/* cut off if longer */
};

int task_each_map(pid_t pid, int (*fn)(pid_t pid, const struct task_map *map, void *arg),
		  void *arg);

/* Call @fn for every thread of the process but the first, as above. */
int task_each_thread(pid_t pid, int (*fn)(pid_t tid, void *arg), void *arg);

/* Set the options of a traced and stopped thread: those that CRIU has set, and @more. 0 or -errno. */
int task_options(pid_t tid, unsigned long more);

/*
 * task_end_with_us - a traced and stopped thread is killed when we end before we have detached from it
 *
 * Without it a thread resumes when its tracer is killed. Replaces the options that CRIU has set, which are
 * among these.
 * 0 or -errno.
 */
int task_end_with_us(pid_t tid);

/*
 * task_tree - the processes that we trace, from @root down, parents first
 * Returns their number, the list in *@list for free(), or -errno.
 */
int task_tree(pid_t root, pid_t **list);

#endif

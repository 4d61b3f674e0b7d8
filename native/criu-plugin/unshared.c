// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "semaphores.h"
#include "tasks.h"
#include "unshared.h"

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

struct dispatch {
	uint64_t mode, selector, offset, length;
};

/* What a thread may have another one of than its process; a user or time namespace it may not, nor a PID namespace. */
static const char *const of_thread[] = { "mnt", "net", "ipc", "uts", "cgroup" };

/* Its next children's: it has asked for another, and no child is in there yet. */
static const char *const of_children[][2] = {
	{ "pid", "pid_for_children" },
	{ "time", "time_for_children" },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Returns the length; 0 where there is no such namespace. */
static size_t namespace_of(pid_t tid, const char *name, char text[64])
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", tid, name);
	length = readlink(path, text, 63);
	text[length > 0 ? length : 0] = 0;
	return length > 0 ? length : 0;
}

static bool same_namespace(pid_t one, const char *name, pid_t other, const char *others_name)
{
	char a[64], b[64];

	namespace_of(one, name, a);
	namespace_of(other, others_name, b);
	return !strcmp(a, b);
}

/* Where it has one, it may have used SEM_UNDO, or only has threads (semaphores.c). We have none. */
static int has_undo_list(pid_t tid)
{
	return task_differs(tid, getpid(), KCMP_SYSVSEM);
}

struct checked {
	pid_t leader;
	bool undoes;
};

static int check_any(pid_t tid, struct checked *checked)
{
	struct dispatch dispatch = {};
	int undo = has_undo_list(tid);

	if (undo < 0)
		return undo;
	checked->undoes |= undo;
	/* Kernels before 6.4 tell nobody. */
	if (!ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(dispatch), &dispatch) &&
	    dispatch.mode)
		return task_refuse(tid, "has Syscall User Dispatch",
				   "switch it off (prctl PR_SET_SYSCALL_USER_DISPATCH)");
	for (size_t i = 0; i < COUNT(of_children); i++)
		if (!same_namespace(tid, of_children[i][0], tid, of_children[i][1]))
			return task_refuse(tid, "has asked for a namespace for its children",
					   "let it start the first of them, or call unshare() in a process of its own");
	return 0;
}

static int check_other(pid_t tid, void *arg)
{
	struct checked *checked = arg;
	int files = task_differs(tid, checked->leader, KCMP_FILES);
	int directory = task_differs(tid, checked->leader, KCMP_FS);

	if (files < 0 || directory < 0)
		return files < 0 ? files : directory;
	if (files)
		return task_refuse(tid, "has a table of open files of its own",
				   "use a process instead of a thread that calls unshare(CLONE_FILES)");
	if (directory)
		return task_refuse(tid, "has a working directory and umask of its own",
				   "use a process instead of a thread that calls unshare(CLONE_FS)");
	for (size_t i = 0; i < COUNT(of_thread); i++)
		if (!same_namespace(tid, of_thread[i], checked->leader, of_thread[i]))
			return task_refuse(tid, "has a namespace of its own",
					   "use a process instead of a thread that calls unshare() or setns()");
	return check_any(tid, checked);
}

static int check_semaphores(pid_t pid)
{
	static const char *const advice =
		"let it give them back before the move, use POSIX semaphores (sem_open, sem_init), or remove those that nobody uses (ipcrm)";
	pid_t tid = pid;
	int ret = semaphores_any(pid);

	if (ret > 0)
		ret = semaphores_held(pid, &tid);
	if (ret > 0)
		return task_refuse(tid, "has semaphores that it gives back at its end (SEM_UNDO)", advice);
	if (ret == -EACCES)
		return task_refuse(tid, "has perhaps semaphores that it gives back at its end (SEM_UNDO), and no right to use them",
				   advice);
	return ret == -ENOTSUP ? -EPERM : ret;
}

static int check(pid_t pid)
{
	struct checked checked = { .leader = pid };
	int ret;

	/* Gives up our own list, if CRIU should ever have threads. */
	if (unshare(CLONE_SYSVSEM))
		return -errno;
	ret = check_any(pid, &checked);
	if (!ret)
		ret = task_each_thread(pid, check_other, &checked);
	return ret || !checked.undoes ? ret : check_semaphores(pid);
}

int unshared_check(pid_t pid)
{
	int ret = check(pid);

	if (ret && ret != -EPERM)
		log_fail("kernel", "what threads of process %d share is not known: %s", pid,
			 strerror(-ret));
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
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

static int refuse(pid_t tid, const char *what, const char *advice)
{
	uint32_t inner = 0;

	task_inner_pid(tid, &inner);
	log_fail("unsupported", "thread %u of the container has %s, which cannot be restored: %s",
		 inner, what, advice);
	/* CRIU takes ENOTSUP for a hook that has nothing to do. */
	return -EPERM;
}

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

/* Without the system call (CONFIG_KCMP) CRIU itself does not work. */
static int differs(pid_t one, pid_t other, int type)
{
	int ret = syscall(SYS_kcmp, one, other, type, 0, 0);

	if (ret < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	return ret != 0;
}

/*
 * The first semop() with SEM_UNDO gives a thread a list, which is empty or not: nobody can read it. We have none. A list is of no
 * use where there are no semaphores.
 */
static int has_undo_list(pid_t tid)
{
	return differs(tid, getpid(), KCMP_SYSVSEM);
}

/* Lines below the heading of /proc/sysvipc/sem, which shows the reader's own namespace. 0, 1 or -errno. */
static int read_semaphores(void)
{
	FILE *file = fopen("/proc/sysvipc/sem", "re");
	char line[256];
	int lines = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (lines < 2 && fgets(line, sizeof(line), file))
		lines += strchr(line, '\n') != NULL;
	fclose(file);
	return lines > 1;
}

/* The same of @pid's namespace. A child's status says it: 0 or 1, and what else it is counts as an error. */
static int has_semaphores(pid_t pid)
{
	char path[64];
	int status, namespace, ret;
	pid_t child;

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", pid);
	namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace < 0)
		return -errno;
	/* fork() without a signal at the end. */
	child = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (!child)
		_exit(setns(namespace, CLONE_NEWIPC) ? 2 : read_semaphores() & 3);
	close(namespace);
	if (child < 0)
		return -errno;
	do
		ret = waitpid(child, &status, __WALL);
	while (ret < 0 && errno == EINTR);
	if (ret != child || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return -EIO;
	return WEXITSTATUS(status);
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
		return refuse(tid, "Syscall User Dispatch", "switch it off (prctl PR_SET_SYSCALL_USER_DISPATCH)");
	for (size_t i = 0; i < COUNT(of_children); i++)
		if (!same_namespace(tid, of_children[i][0], tid, of_children[i][1]))
			return refuse(tid, "asked for a namespace for its children",
				      "let it start the first of them, or call unshare() in a process of its own");
	return 0;
}

static int check_other(pid_t tid, void *arg)
{
	struct checked *checked = arg;
	int files = differs(tid, checked->leader, KCMP_FILES);
	int directory = differs(tid, checked->leader, KCMP_FS);

	if (files < 0 || directory < 0)
		return files < 0 ? files : directory;
	if (files)
		return refuse(tid, "a table of open files of its own",
			      "use a process instead of a thread that calls unshare(CLONE_FILES)");
	if (directory)
		return refuse(tid, "a working directory and umask of its own",
			      "use a process instead of a thread that calls unshare(CLONE_FS)");
	for (size_t i = 0; i < COUNT(of_thread); i++)
		if (!same_namespace(tid, of_thread[i], checked->leader, of_thread[i]))
			return refuse(tid, "a namespace of its own",
				      "use a process instead of a thread that calls unshare() or setns()");
	return check_any(tid, checked);
}

static int check(pid_t pid)
{
	struct checked checked = { .leader = pid };
	int ret = check_any(pid, &checked);

	if (!ret)
		ret = task_each_thread(pid, check_other, &checked);
	if (ret || !checked.undoes)
		return ret;
	ret = has_semaphores(pid);
	return ret > 0 ? refuse(pid, "used semaphores with SEM_UNDO",
				"use semaphores that are not given back at a process's end, or remove them (ipcrm)") :
			 ret;
}

int unshared_check(pid_t pid)
{
	int ret = check(pid);

	if (ret && ret != -EPERM)
		log_fail("kernel", "what threads of process %d share is not known: %s", pid,
			 strerror(-ret));
	return ret;
}

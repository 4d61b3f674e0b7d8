// SPDX-License-Identifier: GPL-2.0
/* A traced child without descriptors gets one of ours, and has no other afterwards. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lend.h"
#include "tasks.h"
#include "unit.h"

static int count(pid_t pid, int fd, const char *link, void *arg)
{
	(void)pid;
	(void)fd;
	(void)link;
	++*(int *)arg;
	return 0;
}

static int descriptors(pid_t pid)
{
	int n = 0;

	CHECK(!task_each_fd(pid, count, &n));
	return n;
}

/* Stopped as CRIU leaves a task: at the end of a system call. */
static pid_t stopped_child(rlim_t most)
{
	struct rlimit limit;
	pid_t pid = fork();

	if (!pid) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = most;
		setrlimit(RLIMIT_NOFILE, &limit);
		syscall(SYS_close_range, 0, ~0U, 0);
		for (;;)
			usleep(1000);
	}
	while (descriptors(pid))
		usleep(1000);
	unit_seize(pid);
	return pid;
}

static void lends(rlim_t most)
{
	int fd = memfd_create("lent", MFD_CLOEXEC), theirs, mine;
	pid_t pid = stopped_child(most);
	struct rlimit limit;
	struct inject inject;

	CHECK(!inject_begin(&inject, pid));
	theirs = lend_descriptor(&inject, fd);
	CHECK(theirs >= 0);
	mine = task_get_fd(pid, theirs);
	CHECK(mine >= 0 && task_same_file(mine, fd));
	CHECK(descriptors(pid) == 1);
	CHECK(!inject_syscall(&inject, SYS_close, theirs, 0, 0, 0, 0, 0));
	CHECK(descriptors(pid) == 0);
	CHECK(!prlimit(pid, RLIMIT_NOFILE, NULL, &limit) && limit.rlim_cur == most);
	CHECK(lend_descriptor(&inject, -1) < 0);
	CHECK(descriptors(pid) == 0);
	CHECK(!inject_end(&inject));
	close(mine);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void unit_lend(void)
{
	lends(100);
	lends(0);
}

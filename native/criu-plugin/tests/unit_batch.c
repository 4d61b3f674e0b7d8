// SPDX-License-Identifier: GPL-2.0
/* A traced child makes thousands of system calls, by a thread or by itself, and is as before. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"
#include "tasks.h"
#include "unit.h"

#define CALLS 3000
#define NOBODY 65534

static int add(pid_t pid, const struct task_map *map, void *arg)
{
	(void)pid;
	/* one may become part of its neighbour: the size counts */
	*(uint64_t *)arg += map->end - map->start;
	return 0;
}

static uint64_t mapped(pid_t pid)
{
	uint64_t size = 0;

	CHECK(!task_each_map(pid, add, &size));
	return size;
}

static int count_thread(pid_t tid, void *arg)
{
	(void)tid;
	++*(int *)arg;
	return 0;
}

static pid_t stopped_child(bool may_make_threads)
{
	struct rlimit none = { 0, 0 };
	int status, ready[2];
	char c = '+';
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		/* the limit is not root's */
		if (!may_make_threads && (setrlimit(RLIMIT_NPROC, &none) || setuid(NOBODY)))
			c = '-';
		if (write(ready[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			usleep(1000);
	}
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1 && c == '+');
	close(ready[0]);
	CHECK(!ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD));
	CHECK(!ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	CHECK(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
	return pid;
}

static void fill(struct batch_call *calls)
{
	for (size_t i = 0; i < CALLS; i++)
		calls[i] = (struct batch_call){ SYS_getppid, { 0 } };
	calls[7] = (struct batch_call){ SYS_munmap, { 1, 1 } };
	calls[8] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } };
	/* all six arguments arrive: each wrong one has an error of its own */
	calls[9] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE, -1, 0 } };
	calls[10] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ,
						     MAP_PRIVATE | MAP_ANONYMOUS, -1, 1 } };
}

static void check(const struct batch_call *calls)
{
	size_t wrong = 0;

	for (size_t i = 0; i < CALLS; i++)
		wrong += (i < 7 || i > 10) && calls[i].number != getpid();
	CHECK(!wrong);
	CHECK(calls[7].number == -EINVAL);
	CHECK(calls[8].number > 4096);
	CHECK(calls[9].number == -EBADF);
	CHECK(calls[10].number == -EINVAL);
}

static void runs(bool may_make_threads)
{
	pid_t pid = stopped_child(may_make_threads);
	struct batch_call *calls = calloc(CALLS, sizeof(*calls));
	struct user_regs_struct before, after;
	uint64_t size = mapped(pid);
	struct inject inject;
	int others = 0;

	CHECK(!ptrace(PTRACE_GETREGS, pid, NULL, &before));
	CHECK(!inject_begin(&inject, pid));
	CHECK(!batch_run(&inject, calls, 0));
	fill(calls);
	CHECK(!batch_run(&inject, calls, CALLS));
	check(calls);
	CHECK((inject.made != 0) == may_make_threads);
	CHECK(!inject_syscall(&inject, SYS_munmap, calls[8].number, 4096, 0, 0, 0, 0));
	CHECK(!inject_end(&inject));

	CHECK(mapped(pid) == size);
	CHECK(!task_each_thread(pid, count_thread, &others) && others == 0);
	CHECK(!ptrace(PTRACE_GETREGS, pid, NULL, &after));
	CHECK(!memcmp(&before, &after, sizeof(before)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(calls);
}

static void ends_with_its_task(void)
{
	pid_t pid = stopped_child(true);
	struct batch_call calls[2] = { { SYS_getppid, { 0 } }, { SYS_exit_group, { 3 } } };
	struct inject inject;

	CHECK(!inject_begin(&inject, pid));
	CHECK(batch_run(&inject, calls, 2) < 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void unit_batch(void)
{
	runs(true);
	runs(false);
	ends_with_its_task();
}

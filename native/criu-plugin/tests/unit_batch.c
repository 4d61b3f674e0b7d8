// SPDX-License-Identifier: GPL-2.0
/* A traced child makes thousands of system calls, at once or one by one, and is as before. */
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

static pid_t stopped_child(void)
{
	int ready[2];
	char c = '+';
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		if (write(ready[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			usleep(1000);
	}
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	unit_seize(pid);
	return pid;
}

static void fill(struct batch_call *calls)
{
	for (size_t i = 0; i < CALLS; i++)
		calls[i] = (struct batch_call){ i % 2 ? SYS_getppid : SYS_gettid, { 0 } };
	calls[7] = (struct batch_call){ SYS_munmap, { 1, 1 } };
	calls[8] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } };
	/* all six arguments arrive: each wrong one has an error of its own */
	calls[9] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE, -1, 0 } };
	calls[10] = (struct batch_call){ SYS_mmap, { 0, 4096, PROT_READ,
						     MAP_PRIVATE | MAP_ANONYMOUS, -1, 1 } };
}

/* The kernel remembers which thread has made an object: no other one may make the calls. */
static void check(const struct batch_call *calls, pid_t pid)
{
	size_t wrong = 0;

	for (size_t i = 0; i < CALLS; i++)
		wrong += (i < 7 || i > 10) && calls[i].number != (i % 2 ? getpid() : pid);
	CHECK(!wrong);
	CHECK(calls[7].number == -EINVAL);
	CHECK(calls[9].number == -EBADF);
	CHECK(calls[10].number == -EINVAL);
}

static void runs(bool may_map)
{
	struct batch_call *calls = calloc(CALLS, sizeof(*calls));
	struct user_regs_struct before, after;
	struct rlimit limit, none;
	pid_t pid = stopped_child();
	uint64_t size = mapped(pid);
	struct inject inject;
	int others = 0;

	CHECK(!ptrace(PTRACE_GETREGS, pid, NULL, &before));
	CHECK(!inject_begin(&inject, pid));
	CHECK(!batch_run(&inject, calls, 0));
	fill(calls);
	/* a process that may map no more has no room for the code either */
	CHECK(!prlimit(pid, RLIMIT_AS, NULL, &limit));
	none = limit;
	none.rlim_cur = 0;
	CHECK(may_map || !prlimit(pid, RLIMIT_AS, &none, NULL));
	CHECK(!batch_run(&inject, calls, CALLS));
	CHECK(may_map || !prlimit(pid, RLIMIT_AS, &limit, NULL));
	check(calls, pid);
	CHECK(may_map ? calls[8].number > 4096 : calls[8].number == -ENOMEM);
	if (may_map)
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

/* One that is stopped meanwhile by somebody else makes its calls, and is stopped in the end. */
static void keeps_a_stop(void)
{
	struct batch_call calls[3] = { { SYS_getppid, { 0 } }, { 0 }, { SYS_getppid, { 0 } } };
	pid_t pid = stopped_child();
	struct inject inject;
	int status;

	calls[1] = (struct batch_call){ SYS_kill, { pid, SIGSTOP } };
	CHECK(!inject_begin(&inject, pid));
	CHECK(!batch_run(&inject, calls, 3));
	CHECK(calls[0].number == getpid() && !calls[1].number && calls[2].number == getpid());
	CHECK(inject.stopped);
	CHECK(!inject_end(&inject));
	CHECK(!ptrace(PTRACE_CONT, pid, NULL, NULL));
	CHECK(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Signals that wait for it are there afterwards: SIGCONT, which a stop would take away, and those that could end the calls. */
static void keeps_signals(bool all)
{
	static const int sent[] = { SIGCONT, SIGURG, SIGWINCH, SIGIO, SIGUSR2, SIGUSR1 };
	struct batch_call calls[2] = { { SYS_getppid, { 0 } }, { SYS_getppid, { 0 } } };
	const size_t count = all ? sizeof(sent) / sizeof(sent[0]) : 3;
	uint64_t blocked = ~0ULL, before, after;
	pid_t pid = stopped_child();
	struct inject inject;

	CHECK(!ptrace(PTRACE_SETSIGMASK, pid, sizeof(blocked), &blocked));
	for (size_t i = 0; i < count; i++)
		CHECK(!kill(pid, sent[i]));
	CHECK(!task_pending(pid, &before) && before & 1ULL << (SIGCONT - 1));
	CHECK(!inject_begin(&inject, pid));
	CHECK(!batch_run(&inject, calls, 2));
	CHECK(calls[0].number == getpid() && calls[1].number == getpid());
	CHECK(!inject_end(&inject));
	CHECK(!task_pending(pid, &after) && after == before);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A process that has come to its limit on memory has no room for ours. */
static void has_scratch_memory(int which)
{
	struct batch_call call = { SYS_getppid, { 0 } };
	struct rlimit limit, low, after;
	pid_t pid = stopped_child();
	struct inject inject;

	CHECK(!prlimit(pid, which, NULL, &limit));
	low = limit;
	low.rlim_cur = 4096;
	CHECK(!prlimit(pid, which, &low, NULL));
	CHECK(!inject_begin(&inject, pid));
	CHECK(!prlimit(pid, which, NULL, &after) && after.rlim_cur == 4096);
	CHECK(!batch_run(&inject, &call, 1) && call.number == getpid());
	CHECK(!inject_end(&inject));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void ends_with_its_task(void)
{
	struct batch_call calls[2] = { { SYS_getppid, { 0 } }, { SYS_exit_group, { 3 } } };
	pid_t pid = stopped_child();
	struct inject inject;

	CHECK(!inject_begin(&inject, pid));
	CHECK(batch_run(&inject, calls, 2) == -ESRCH);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void unit_batch(void)
{
	runs(true);
	runs(false);
	keeps_a_stop();
	has_scratch_memory(RLIMIT_AS);
	has_scratch_memory(RLIMIT_DATA);
	keeps_signals(false);
	keeps_signals(true);
	ends_with_its_task();
}

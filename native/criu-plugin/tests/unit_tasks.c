// SPDX-License-Identifier: GPL-2.0
/* What becomes of a stopped thread whose tracer is killed. */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tasks.h"
#include "unit.h"

#define WAIT_US		10000
#define WAIT_ROUNDS	500

/* A tracer that has stopped @tid, and does no more. */
static pid_t trace(pid_t tid, bool ends_with_us)
{
	int ready[2];
	char byte = 0;
	pid_t tracer;

	CHECK(!pipe(ready));
	tracer = fork();
	if (!tracer) {
		bool ok = !ptrace(PTRACE_SEIZE, tid, NULL, NULL) &&
			  !ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) &&
			  waitpid(tid, NULL, __WALL) == tid &&
			  (!ends_with_us || !task_end_with_us(tid));

		if (write(ready[1], ok ? "+" : "-", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(byte == '+');
	close(ready[0]);
	close(ready[1]);
	return tracer;
}

/* Does a task that counts continue when its tracer is killed? */
static bool outlives_tracer(bool ends_with_us)
{
	pid_t task = fork(), tracer;
	siginfo_t info = {};

	if (!task)
		for (;;)
			usleep(WAIT_US);
	tracer = trace(task, ends_with_us);
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	for (int round = 0; round < WAIT_ROUNDS && ends_with_us && !info.si_pid; round++) {
		usleep(WAIT_US);
		waitid(P_PID, task, &info, WEXITED | WNOHANG | WNOWAIT);
	}
	if (!info.si_pid)
		kill(task, SIGKILL);
	waitpid(task, NULL, 0);
	return !info.si_pid;
}

void unit_tasks(void)
{
	CHECK(outlives_tracer(false));
	CHECK(!outlives_tracer(true));
	/* No task that we trace. */
	CHECK(task_end_with_us(getppid()) < 0);
}

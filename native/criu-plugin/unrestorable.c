// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "tasks.h"
#include "unrestorable.h"

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif
#ifndef SCHED_EXT
#define SCHED_EXT 7
#endif

static int refuse_policy(pid_t tid, int policy)
{
	char number[16], what[64];

	snprintf(number, sizeof(number), "%d", policy);
	snprintf(what, sizeof(what), "has the scheduling policy %s",
		 policy == SCHED_DEADLINE ? "SCHED_DEADLINE" : policy == SCHED_EXT ? "SCHED_EXT" : number);
	return task_refuse(tid, what, "give it another one (sched_setscheduler, chrt)");
}

static int check_policy(pid_t tid, void *arg)
{
	int policy = sched_getscheduler(tid);

	(void)arg;
	if (policy < 0)
		return -errno;
	policy &= ~SCHED_RESET_ON_FORK;
	switch (policy) {
	case SCHED_OTHER:
	case SCHED_FIFO:
	case SCHED_RR:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return 0;
	}
	return refuse_policy(tid, policy);
}

/* "notify: signal/tid.1234" of a timer with SIGEV_THREAD_ID. A kernel that cannot be dumped has no such file. */
static int check_timers(pid_t pid)
{
	FILE *file = task_open(pid, "timers");
	uint32_t inner = 0;
	bool found = false;
	char line[256];
	int tid;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), file))
		found |= sscanf(line, "notify: %*[a-z]/tid.%d", &tid) == 1 && tid == pid;
	fclose(file);
	if (!found)
		return 0;
	task_inner_pid(pid, &inner);
	log_fail("unsupported",
		 "process %u of the container has a timer that signals its first thread (SIGEV_THREAD_ID), which cannot be restored: delete it (a profiler?), or let it signal the process or another thread",
		 inner);
	return -EPERM;
}

int unrestorable_check(pid_t pid)
{
	int ret = check_policy(pid, NULL);

	if (!ret)
		ret = task_each_thread(pid, check_policy, NULL);
	if (!ret)
		ret = check_timers(pid);
	if (ret && ret != -EPERM)
		log_fail("kernel", "the scheduling policies and timers of process %d are not known: %s", pid,
			 strerror(-ret));
	return ret;
}

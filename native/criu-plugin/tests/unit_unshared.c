// SPDX-License-Identifier: GPL-2.0
/* Traced children, in an IPC namespace of their own, with semaphores that the kernel gives back at their end, or not. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semaphores.h"
#include "tasks.h"
#include "unit.h"
#include "unshared.h"

#define SEMAPHORES 9

struct child {
	int value;		/* of a semaphore */
	int operation;		/* with SEM_UNDO */
	bool listed;		/* it has a list, as threads have */
	bool none;		/* no semaphore */
	bool others;		/* the semaphore is root's, and it is not */
	bool thread;		/* all that is of a thread with a list of its own */
	int wanted;
};

static const struct child children[] = {
	{ .none = true, .listed = true },
	{ .value = 7 },
	{ .value = 7, .listed = true },
	{ .value = 0, .listed = true },
	{ .value = 32767, .listed = true },
	{ .value = 7, .operation = -1, .wanted = 1 },
	{ .value = 7, .operation = 1, .wanted = 1 },
	{ .value = 1, .operation = -1, .wanted = 1 },
	{ .value = 0, .operation = 1, .wanted = 1 },
	{ .value = 32767, .operation = -32767, .wanted = 1 },
	{ .value = 32766, .operation = 1, .wanted = 1 },
	{ .value = 0, .operation = 32767, .wanted = 1 },
	{ .value = 7, .listed = true, .others = true, .wanted = -EACCES },
	{ .value = 7, .others = true },
	{ .value = 7, .listed = true, .thread = true },
	{ .value = 7, .operation = -1, .thread = true, .wanted = 1 },
};

struct state {
	const struct child *child;
	int set;
	volatile bool ready;
};

static void use(struct state *state)
{
	struct sembuf operation = {
		.sem_num = SEMAPHORES - 1, .sem_op = state->child->operation, .sem_flg = SEM_UNDO
	};
	struct sembuf more = { .sem_op = 1, .sem_flg = SEM_UNDO }, back = { .sem_op = -1, .sem_flg = SEM_UNDO };

	if (operation.sem_op && semop(state->set, &operation, 1))
		_exit(1);
	if (state->child->listed && !state->child->none &&
	    (semop(state->set, &more, 1) || semop(state->set, &back, 1)))
		_exit(1);
}

static int thread(void *arg)
{
	struct state *state = arg;

	use(state);
	state->ready = true;
	for (;;)
		pause();
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static void run(struct state *state)
{
	const struct child *child = state->child;
	char *stack = malloc(65536);
	pthread_t one;

	if (unshare(CLONE_NEWIPC))
		_exit(1);
	state->set = child->none ? -1 : semget(IPC_PRIVATE, SEMAPHORES, 0600);
	for (int i = 0; !child->none && i < SEMAPHORES; i++)
		if (semctl(state->set, i, SETVAL, i == SEMAPHORES - 1 ? child->value : i))
			_exit(1);
	if (child->none && child->listed) {
		pthread_create(&one, NULL, nothing, NULL);
		pthread_join(one, NULL);
	}
	if (child->thread)
		clone(thread, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, state);
	else
		use(state);
	if (child->others && setresuid(1000, 1000, 1000))
		_exit(1);
	state->ready |= !child->thread;
	for (;;)
		pause();
}

static int stop_other(pid_t tid, void *arg)
{
	(void)arg;
	unit_seize(tid);
	return 0;
}

/* By a child of ours in its namespace. */
static bool has_values(pid_t pid, const struct state *state)
{
	unsigned short now[SEMAPHORES];
	int status = -1, namespace = syscall(SYS_pidfd_open, pid, 0);
	pid_t reader = fork();

	if (!reader) {
		bool same = !setns(namespace, CLONE_NEWIPC) && !semctl(state->set, 0, GETALL, now) &&
			    now[SEMAPHORES - 1] == state->child->value + state->child->operation;

		for (int i = 0; i < SEMAPHORES - 1; i++)
			same &= now[i] == i;
		_exit(!same);
	}
	close(namespace);
	return waitpid(reader, &status, 0) == reader && !status;
}

static pid_t start(struct state *state)
{
	pid_t pid = fork();

	if (!pid)
		run(state);
	for (int i = 0; i < 5000 && !state->ready; i++)
		usleep(1000);
	CHECK(state->ready);
	unit_seize(pid);
	task_each_thread(pid, stop_other, NULL);
	return pid;
}

static void end(pid_t pid)
{
	CHECK(!kill(pid, SIGKILL));
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

static void finds(const struct child *child, struct state *state)
{
	pid_t pid, tid = 0;
	int any, held;

	*state = (struct state){ .child = child };
	pid = start(state);
	any = semaphores_any(pid);
	CHECK(any == !child->none);
	/* As often as one likes. */
	for (int i = 0; any > 0 && i < 2; i++) {
		held = semaphores_held(pid, &tid);
		CHECK(held == child->wanted);
		CHECK(held != 1 || (tid == pid) == !child->thread);
		CHECK(has_values(pid, state));
	}
	unit_clear_log();
	CHECK(unshared_check(pid) == (child->wanted ? -EPERM : 0));
	CHECK(!child->wanted == !strstr(unit_log(), "SEM_UNDO"));
	end(pid);
}

/* What cannot be looked at is not what is not there. */
static void has_no_descriptor(struct state *state)
{
	struct rlimit limit, little;
	int next = dup(0);
	pid_t pid;

	close(next);
	*state = (struct state){ .child = &children[5] };
	pid = start(state);
	getrlimit(RLIMIT_NOFILE, &limit);
	little = limit;
	/* For the namespace, and no other. */
	little.rlim_cur = next + 1;
	setrlimit(RLIMIT_NOFILE, &little);
	CHECK(semaphores_any(pid) < 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	end(pid);
}

void unit_unshared(void)
{
	struct state *state = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* Needs an IPC namespace. */
	if (geteuid() || state == MAP_FAILED)
		return;
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
		finds(&children[i], state);
	has_no_descriptor(state);
	munmap(state, 4096);
}

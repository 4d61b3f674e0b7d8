// SPDX-License-Identifier: GPL-2.0
/*
 * A process with threads in system calls of several kinds that confines itself, or one of its threads, and drops what
 * would tell; or one of whose threads does not share what threads share. Ten times a second it prints what it may still
 * do, and each system call that did not go on as it should.
 * usage: confined none|process|thread|mdwe|mce|files|directory|uts|children|dispatch|undo|raised|removed|given|semaphore|eventfd|sealed|deadline|timer [THREADS]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched/types.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static int quiet[2];
static const char *how;

static void landlock(void)
{
	unsigned long long rights = 1 << 3;	/* to list directories */
	int ruleset = syscall(444, &rights, sizeof(rights), 0);

	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446, ruleset, 0)) {
		perror("landlock");
		exit(1);
	}
	close(ruleset);
}

static const struct unshares {
	const char *how;
	int flags;
} unshares[] = {
	{ "files", CLONE_FILES },
	{ "directory", CLONE_FS },
	{ "uts", CLONE_NEWUTS },
	{ "children", CLONE_NEWPID },
};

/* A millisecond in each hundred. */
static void keep_deadlines(void)
{
	struct sched_attr attributes = {
		.size = sizeof(attributes),
		.sched_policy = 6,	/* SCHED_DEADLINE */
		.sched_runtime = 1000000,
		.sched_deadline = 100000000,
		.sched_period = 100000000,
	};

	if (syscall(SYS_sched_setattr, 0, &attributes, 0))
		perror(how);
}

/* Two timers: one signals this thread, the first, and one the process. */
static void make_timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t timer;

	event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer) || timer_create(CLOCK_MONOTONIC, &event, &timer))
		perror(how);
}

/* Of a thread. The selector lets all system calls pass. */
static void leave_the_others(void)
{
	static char selector;

	for (unsigned int i = 0; i < sizeof(unshares) / sizeof(unshares[0]); i++)
		if (!strcmp(how, unshares[i].how) && unshare(unshares[i].flags))
			perror(how);
	if (!strcmp(how, "dispatch") && prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector))
		perror(how);
}

#define SEMAPHORES 6

static int set;
static unsigned short values[SEMAPHORES] = { 3, 0, 32767, 1, 0, 2 };

static bool operate(int number)
{
	struct sembuf operation = { .sem_num = SEMAPHORES - 1, .sem_op = number, .sem_flg = SEM_UNDO };

	values[SEMAPHORES - 1] += number;
	return !semop(set, &operation, 1);
}

/* Of a process: it has semaphores, and takes one that the kernel gives back at its end, or the other way round. */
static void use_semaphores(void)
{
	bool ok;

	set = semget(IPC_PRIVATE, SEMAPHORES, 0600);
	ok = set >= 0 && !semctl(set, 0, SETALL, values);
	if (!strcmp(how, "undo") || !strcmp(how, "removed") || !strcmp(how, "given"))
		ok &= operate(-1);
	if (!strcmp(how, "given") || !strcmp(how, "raised"))
		ok &= operate(1);
	if (!strcmp(how, "removed"))
		ok &= !semctl(set, 0, IPC_RMID);
	if (!ok)
		perror("semop");
}

static bool have_changed(void)
{
	unsigned short now[SEMAPHORES];

	return semctl(set, 0, GETALL, now) || memcmp(now, values, sizeof(values));
}

/* Nothing is written there, so none of these returns. A timed poll may end early (README.md, Limits). */
static void *wait_for_nothing(void *arg)
{
	struct pollfd poll_quiet = { .fd = quiet[0], .events = POLLIN };
	long kind = (long)arg % 3;
	char byte;

	if (arg == (void *)1 && !strcmp(how, "thread"))
		landlock();
	if (arg == (void *)1)
		leave_the_others();
	if (arg == (void *)1 && !strcmp(how, "deadline"))
		keep_deadlines();
	for (;;) {
		long ret = kind == 0 ? read(quiet[0], &byte, 1) :
			   kind == 1 ? poll(&poll_quiet, 1, -1) :
				       syscall(SYS_futex, &quiet[0], 0, quiet[0], NULL, NULL, 0);

		printf("call %ld returned %ld, %s\n", kind, ret, strerror(errno));
		if (ret >= 0 || errno != EINTR)
			exit(1);
	}
	return NULL;
}

/* Memory that nobody can read, and nobody can make readable. */
static void hide_memory(void)
{
	void *memory = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || syscall(SYS_mseal, memory, 4096, 0))
		perror(how);
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? atol(argv[2]) : 6;
	struct timespec pause = { .tv_nsec = 100000000 };
	bool uses;

	how = argc > 1 ? argv[1] : "none";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pipe(quiet))
		return 1;
	for (long i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, wait_for_nothing, (void *)i))
			return 1;
	}
	if (!strcmp(how, "process"))
		landlock();
	if (eventfd(3, strcmp(how, "eventfd") ? 0 : EFD_SEMAPHORE) < 0)
		perror(how);
	uses = !strcmp(how, "undo") || !strcmp(how, "raised") || !strcmp(how, "removed") || !strcmp(how, "given") ||
	       !strcmp(how, "semaphore");
	if (uses)
		use_semaphores();
	if (!strcmp(how, "mdwe") && prctl(PR_SET_MDWE, 1, 0, 0, 0))
		perror("PR_SET_MDWE");
	if (!strcmp(how, "mce") && prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0))
		perror("PR_MCE_KILL");
	if (!strcmp(how, "sealed"))
		hide_memory();
	if (!strcmp(how, "timer"))
		make_timers();
	for (unsigned long i = 0;; i++) {
		int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		printf("%lu: %s\n", i, fd < 0 ? "restricted" : "free");
		if (fd >= 0)
			close(fd);
		if (uses && strcmp(how, "removed") && have_changed())
			printf("semaphores have changed\n");
		while (nanosleep(&pause, NULL) && errno != EINTR)
			printf("nanosleep: %s\n", strerror(errno));
	}
}

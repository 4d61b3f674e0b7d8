// SPDX-License-Identifier: GPL-2.0
/*
 * A process with two threads that has each setting which CRIU is known to lose or to keep. Several times a second it
 * prints what only the process itself can see.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

#define PAGE 4096
#define IOPRIO_BEST_EFFORT_7 (2 << 13 | 7)
#define KEYCTL_GET_KEYRING_ID 0
#define KEYCTL_DESCRIBE 6
#define SESSION_KEYRING -3

static char *wiped, *droppable;
static int deleted, sockets[2];

static void confine(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void *second(void *arg)
{
	confine(0);
	prctl(PR_SET_TIMERSLACK, 777777);
	for (;;)
		pause();
	return arg;
}

static bool is_lost_by_fork(const char *memory)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(*memory);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* The name that the kernel or runc has given it. */
static void print_keyring(void)
{
	char text[256] = "none";
	long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0);

	if (id > 0 && syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof(text) - 1) > 0)
		printf(" keyring=%s", strstr(text, "_uid") ? "the user's" : "own");
	else
		printf(" keyring=none");
}

/* More than CRIU takes of such a file unless it is told to. */
static int open_deleted(void)
{
	static const char name[] = "/both/a/deleted";
	static char bytes[3 << 20];
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(bytes, 7, sizeof(bytes));
	if (fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes) || unlink(name))
		exit(1);
	return fd;
}

/* Options that CRIU keeps none of. */
static int open_sockets(void)
{
	int yes = 1, at = 3;

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) ||
	       setsockopt(sockets[0], SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) ||
	       setsockopt(sockets[1], SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at)) ||
	       setsockopt(sockets[1], SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes));
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

static void print_own(void)
{
	char last = 0;

	if (pread(deleted, &last, 1, (3 << 20) - 1) != 1)
		last = -1;
	printf("wiped=%d droppable=%d deleted=%d", is_lost_by_fork(wiped),
	       droppable ? is_lost_by_fork(droppable) : -1, last);
	printf(" dumpable=%d keepcaps=%d securebits=%x nnp=%d", prctl(PR_GET_DUMPABLE),
	       prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS),
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf(" sockets=%d%d,%d%d,%d%d", option(sockets[0], SO_TIMESTAMPNS), option(sockets[1], SO_TIMESTAMPNS),
	       option(sockets[0], SO_PEEK_OFF), option(sockets[1], SO_PEEK_OFF), option(sockets[0], SO_LOCK_FILTER),
	       option(sockets[1], SO_LOCK_FILTER));
	print_keyring();
	printf("\n");
	fflush(stdout);
}

/* Not the kernel's own, which is 0x33. */
static int choose_core(void)
{
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 || write(fd, "0x7f", 4) != 4;

	return ret || close(fd);
}

int main(void)
{
	pthread_t thread;

	wiped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (wiped == MAP_FAILED || madvise(wiped, PAGE, MADV_WIPEONFORK))
		return 1;
	droppable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (droppable == MAP_FAILED)
		droppable = NULL;	/* before Linux 6.11 */
	deleted = open_deleted();
	if (choose_core() || open_sockets() || pthread_create(&thread, NULL, second, NULL))
		return 1;
	confine(1);
	prctl(PR_SET_TIMERSLACK, 123456);
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_BEST_EFFORT_7);
	for (;;) {
		*wiped = 1;
		if (droppable)
			*droppable = 1;
		print_own();
		usleep(300000);
	}
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A process with two threads that has each setting which CRIU is known to lose or to keep. Several times a second it
 * prints what only the process itself can see.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define PAGE 4096
#define IOPRIO_BEST_EFFORT_7 (2 << 13 | 7)
#define KEYCTL_GET_KEYRING_ID 0
#define KEYCTL_DESCRIBE 6
#define SESSION_KEYRING -3

static char *wiped, *droppable;
static int deleted, sockets[2];

/* Sealed memory of each kind. */
static struct {
	char *at;
	int protection;
} sealed[4];
static bool can_seal;

static void confine(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

#define TICK SIGRTMIN

static volatile pid_t second_tid;
static volatile int ticks;

static void tick(int signal)
{
	(void)signal;
	ticks = ticks + (syscall(SYS_gettid) == second_tid ? 1 : -1000000);
}

/* One that signals the calling thread, and one for the process that is not started. */
static void start_timer(void)
{
	const struct itimerspec every = { { .tv_nsec = 100000000 }, { .tv_nsec = 100000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK };
	timer_t timer;

	second_tid = event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_REALTIME, NULL, &timer) || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &every, NULL))
		exit(1);
}

static void *second(void *arg)
{
	start_timer();
	confine(0);
	prctl(PR_SET_TIMERSLACK, 777777);
	personality(ADDR_NO_RANDOMIZE | SHORT_INODE);
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

/* Linux 6.10 and later; before, there is nothing to lose. */
static void seal(int n, char *memory, int protection)
{
	sealed[n].at = memory;
	sealed[n].protection = protection;
	if (!memory || mprotect(memory, PAGE, protection))
		exit(1);
	can_seal = !syscall(SYS_mseal, memory, PAGE, 0);
	if (!can_seal && errno != ENOSYS)
		exit(1);
}

static char *anonymous(int flags)
{
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	/* MAP_DROPPABLE: Linux 6.11 and later. */
	return memory == MAP_FAILED ? NULL : memory;
}

static void seal_all(void)
{
	char *marked = anonymous(MAP_PRIVATE);
	char *dropped = anonymous(MAP_DROPPABLE);
	char *file = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/bin/settings", O_RDONLY), 0);

	if (!marked || madvise(marked, PAGE, MADV_WIPEONFORK) || file == MAP_FAILED)
		exit(1);
	seal(0, anonymous(MAP_PRIVATE), PROT_READ | PROT_WRITE);
	seal(1, file, PROT_READ);
	seal(2, marked, PROT_READ | PROT_WRITE);
	seal(3, dropped ? dropped : anonymous(MAP_PRIVATE), PROT_READ);
}

static void print_sealed(void)
{
	printf(" sealed=");
	for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]) && can_seal; i++)
		printf("%d", mprotect(sealed[i].at, PAGE, sealed[i].protection) && errno == EPERM);
}

/* The other thread's timer ticks ten times a second, and nobody but that thread is signalled. */
static void print_timer(void)
{
	int before = ticks;

	for (int i = 0; i < 50 && ticks == before; i++)
		usleep(50000);
	printf(" timer=%d", ticks > before && ticks > 0);
}

/* What a restore calls for a process may be forbidden to it. */
static int forbid_system_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mseal, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
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
	print_sealed();
	print_timer();
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
	signal(TICK, tick);
	if (choose_core() || open_sockets() || pthread_create(&thread, NULL, second, NULL))
		return 1;
	confine(1);
	prctl(PR_SET_TIMERSLACK, 123456);
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_BEST_EFFORT_7);
	personality(ADDR_NO_RANDOMIZE);
	seal_all();
	/* The other thread has begun, and its settings are made. */
	usleep(200000);
	if (forbid_system_calls())
		return 1;
	for (;;) {
		*wiped = 1;
		if (droppable)
			*droppable = 1;
		print_own();
		usleep(300000);
	}
}

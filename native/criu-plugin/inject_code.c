// SPDX-License-Identifier: GPL-2.0
/* Code of ours that runs in a task, or in a thread of its. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "tasks.h"

/* Returns the exit status of a thread that is about to run, or -errno. */
static int wait_for_exit(pid_t tid)
{
	int status;

	for (;;) {
		if (ptrace(PTRACE_CONT, tid, NULL, NULL))
			return -errno;
		while (waitpid(tid, &status, __WALL) != tid)
			if (errno != EINTR)
				return -errno;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		/* Signals are blocked: only a stop that concerns the whole process can come. */
		if (!WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_STOP)
			return -EINTR;
	}
}

static int run_thread(pid_t tid, uint64_t code, uint64_t argument)
{
	struct user_regs_struct regs;
	int status;

	while (waitpid(tid, &status, __WALL) != tid)
		if (errno != EINTR)
			return -errno;
	if (!WIFSTOPPED(status))
		return -ESRCH;
	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
		return -errno;
	regs.rip = code;
	regs.r12 = argument;
	/* No system call is going on that the kernel might want to restart. */
	regs.orig_rax = -1;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &regs))
		return -errno;
	return wait_for_exit(tid);
}

int inject_thread(struct inject *inject, uint64_t code, uint64_t argument)
{
	/* CLONE_SYSVSEM would give the process a list of what semaphores it gives back at its end. */
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	int64_t tid;
	int ret;

	/* The thread begins stopped, and with the same options. */
	ret = task_options(inject->pid, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	if (ret)
		return ret;
	inject->made = 0;
	tid = inject_syscall(inject, SYS_clone, flags, 0, 0, 0, 0, 0);
	ret = task_options(inject->pid, 0);
	if (tid < 0)
		return tid;
	if (!inject->made)
		return -EPROTO;
	tid = run_thread(inject->made, code, argument);
	return ret ? ret : tid;
}

/* A standard signal: its sending needs no room in a queue. */
static int free_signal(pid_t tid)
{
	static const int signals[] = { SIGURG, SIGWINCH, SIGIO, SIGUSR2, SIGUSR1 };
	uint64_t pending;
	int ret = task_pending(tid, &pending);

	if (ret)
		return ret;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!(pending & 1ULL << (signals[i] - 1)))
			return signals[i];
	return -EBUSY;
}

/* Runs until the task has sent @signal from the place before @end. */
static int run_until(struct inject *inject, int signal, uint64_t end)
{
	struct user_regs_struct regs;
	int status, by;

	for (;;) {
		if (ptrace(PTRACE_CONT, inject->pid, NULL, NULL))
			return -errno;
		if (waitpid(inject->pid, &status, __WALL) != inject->pid)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (status >> 16 == PTRACE_EVENT_STOP)
			continue;
		by = WSTOPSIG(status);
		if (status >> 16 || (by != SIGSTOP && by != signal))
			return -EINTR;
		if (ptrace(PTRACE_GETREGS, inject->pid, NULL, &regs))
			return -errno;
		if (by == signal && regs.rip == end)
			return 0;
		/* What another one has sent comes again when we are done. */
		if (by == SIGSTOP)
			inject->stopped = true;
		else
			inject->met = by;
	}
}

int inject_run(struct inject *inject, uint64_t code, uint64_t argument, uint64_t end)
{
	struct user_regs_struct regs = inject->saved;
	int signal = free_signal(inject->pid), ret;
	uint64_t all = ~0ULL, others;

	if (signal < 0)
		return signal;
	others = all & ~(1ULL << (signal - 1));
	regs.rip = code;
	regs.r12 = argument;
	regs.r13 = signal;
	/* No system call is going on that the kernel might want to restart. */
	regs.orig_rax = -1;
	if (ptrace(PTRACE_SETREGS, inject->pid, NULL, &regs) ||
	    ptrace(PTRACE_SETSIGMASK, inject->pid, KERNEL_SIGSET_SIZE, &others))
		return -errno;
	ret = run_until(inject, signal, end);
	if (!ret && ptrace(PTRACE_SETSIGMASK, inject->pid, KERNEL_SIGSET_SIZE, &all))
		ret = -errno;
	return ret;
}

int64_t inject_code(struct inject *inject, const void *code, size_t size)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	int64_t at = inject_syscall(inject, SYS_mmap, 0, page, PROT_READ | PROT_EXEC,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at < 0 && at > -4096)
		return at;
	/* It is never writable: a process may have forbidden itself that. */
	for (size_t done = 0; done < size && done < page; done += sizeof(long)) {
		size_t left = size - done;
		long word = 0;

		memcpy(&word, (const char *)code + done, left < sizeof(word) ? left : sizeof(word));
		if (ptrace(PTRACE_POKEDATA, inject->pid, (void *)(uintptr_t)(at + done), (void *)word)) {
			int error = errno;

			inject_remove_code(inject, at);
			return -error;
		}
	}
	return at;
}

int inject_remove_code(struct inject *inject, uint64_t address)
{
	return inject_syscall(inject, SYS_munmap, address, sysconf(_SC_PAGESIZE), 0, 0, 0, 0);
}

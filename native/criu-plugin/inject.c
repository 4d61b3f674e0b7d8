// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "log.h"
#include "tasks.h"

#ifndef __x86_64__
#error "system calls are injected on x86-64 only"
#endif

#define USER_CS 0x33
#define SYSCALL_STOP (SIGTRAP | 0x80)

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

struct rseq_configuration {
	uint64_t area;
	uint32_t size, signature, flags, pad;
};

#define RSEQ_CS_OFFSET 8

static int copy(pid_t pid, uint64_t address, void *data, size_t size, bool to_task)
{
	struct iovec local = { .iov_base = data, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };
	ssize_t n = to_task ? process_vm_writev(pid, &local, 1, &remote, 1, 0) :
			      process_vm_readv(pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

/*
 * Borrow a syscall instruction rather than write one: writing would leave a
 * private copy of a code page behind. The vDSO always has one for its fallback.
 */
static int look_for_syscall(pid_t pid, const struct task_map *map, void *arg)
{
	uint64_t *found = arg, size = map->end - map->start;
	uint8_t *code, *at;

	if (!(map->protection & PROT_EXEC) || !(map->protection & PROT_READ) ||
	    size > (64U << 20) || !strcmp(map->path, "[vsyscall]"))
		return 0;
	if (*found && strcmp(map->path, "[vdso]"))
		return 0;
	code = malloc(size);
	if (!code)
		return -ENOMEM;
	if (!copy(pid, map->start, code, size, false)) {
		at = memmem(code, size, "\x0f\x05", 2);
		if (at)
			*found = map->start + (at - code);
	}
	free(code);
	return 0;
}

/* Run to the next system call entry or exit. */
static int next_stop(struct inject *inject)
{
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, inject->pid, NULL, NULL))
			return -errno;
		if (waitpid(inject->pid, &status, __WALL) != inject->pid)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			return 0;
		if (status >> 16 == PTRACE_EVENT_CLONE) {
			unsigned long made = 0;

			if (ptrace(PTRACE_GETEVENTMSG, inject->pid, NULL, &made))
				return -errno;
			inject->made = made;
			continue;
		}
		/* Of what can't be blocked, a stop comes again when we are done. */
		if (WSTOPSIG(status) == SIGSTOP && !(status >> 16))
			inject->stopped = true;
		else if (status >> 16 != PTRACE_EVENT_STOP)
			return -EINTR;
	}
}

int64_t inject_syscall(struct inject *inject, long number, uint64_t a, uint64_t b, uint64_t c,
		       uint64_t d, uint64_t e, uint64_t f)
{
	struct user_regs_struct regs = inject->saved;
	int ret;

	regs.rip = inject->syscall_at;
	regs.rax = number;
	/* No system call is going on that the kernel might want to restart. */
	regs.orig_rax = -1;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = f;
	if (ptrace(PTRACE_SETREGS, inject->pid, NULL, &regs))
		return -errno;
	ret = next_stop(inject);
	if (!ret)
		ret = next_stop(inject);
	if (ret)
		return ret;
	if (ptrace(PTRACE_GETREGS, inject->pid, NULL, &regs))
		return -errno;
	if (regs.rip != inject->syscall_at + 2)
		return -EPROTO;
	return (int64_t)regs.rax;
}

/* Leaving the code of a critical section would make the kernel forget that it was in one. */
static void save_rseq(struct inject *inject)
{
	struct rseq_configuration config = {};

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, inject->pid, sizeof(config), &config) <= 0 ||
	    !config.area)
		return;
	inject->rseq_cs_at = config.area + RSEQ_CS_OFFSET;
	if (copy(inject->pid, inject->rseq_cs_at, &inject->rseq_cs, sizeof(inject->rseq_cs),
		 false))
		inject->rseq_cs_at = 0;
}

static int stop_signals(struct inject *inject)
{
	uint64_t all = ~0ULL;

	save_rseq(inject);
	if (ptrace(PTRACE_GETSIGMASK, inject->pid, KERNEL_SIGSET_SIZE, &inject->saved_mask) ||
	    ptrace(PTRACE_SETSIGMASK, inject->pid, KERNEL_SIGSET_SIZE, &all))
		return -errno;
	return 0;
}

static int begin(struct inject *inject, pid_t pid)
{
	int ret;

	*inject = (struct inject){ .pid = pid };
	if (ptrace(PTRACE_GETREGS, pid, NULL, &inject->saved))
		return -errno;
	if (inject->saved.cs != USER_CS)
		return -EOPNOTSUPP;
	ret = task_each_map(pid, look_for_syscall, &inject->syscall_at);
	if (ret)
		return ret;
	if (!inject->syscall_at) {
		log_fail("kernel", "process %d has no system call instruction", pid);
		return -ENOEXEC;
	}
	return stop_signals(inject);
}

int inject_begin_quietly(struct inject *inject, pid_t pid)
{
	int ret = begin(inject, pid);

	inject->borrowed = true;
	return ret;
}

static int64_t map_scratch(struct inject *inject)
{
	return inject_syscall(inject, SYS_mmap, 0, INJECT_SCRATCH_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* As map_scratch(), but a limit of the process's on its memory does not count. */
static int64_t map_beyond_limits(struct inject *inject)
{
	static const enum __rlimit_resource which[] = { RLIMIT_AS, RLIMIT_DATA };
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limits[2], raised;
	int64_t scratch;
	int ret = 0;

	for (size_t i = 0; i < 2; i++) {
		if (prlimit(inject->pid, which[i], NULL, &limits[i]))
			return -errno;
		raised = (struct rlimit){ limits[i].rlim_max, limits[i].rlim_max };
		if (prlimit(inject->pid, which[i], &unlimited, NULL))
			prlimit(inject->pid, which[i], &raised, NULL);
	}
	scratch = map_scratch(inject);
	for (size_t i = 0; i < 2; i++)
		if (prlimit(inject->pid, which[i], &limits[i], NULL))
			ret = -errno;
	return ret ? ret : scratch;
}

int inject_begin(struct inject *inject, pid_t pid)
{
	int64_t scratch;
	int ret = begin(inject, pid);

	if (ret == -EOPNOTSUPP)
		log_fail("unsupported", "process %d runs 32-bit code", pid);
	if (ret)
		return ret;
	scratch = map_scratch(inject);
	if (scratch == -ENOMEM)
		scratch = map_beyond_limits(inject);
	if (scratch < 0 && scratch > -4096) {
		log_fail("kernel", "no scratch memory in process %d: %s", pid,
			 strerror(-scratch));
		return scratch;
	}
	inject->scratch = scratch;
	return 0;
}

int inject_begin_thread(struct inject *inject, pid_t tid, const struct inject *leader)
{
	*inject = (struct inject){
		.pid = tid,
		.syscall_at = leader->syscall_at,
		.scratch = leader->scratch,
		.borrowed = true,
	};
	if (ptrace(PTRACE_GETREGS, tid, NULL, &inject->saved))
		return -errno;
	return stop_signals(inject);
}

int inject_peek(pid_t pid, uint64_t address, void *data, size_t size)
{
	return copy(pid, address, data, size, false);
}

int inject_end(struct inject *inject)
{
	int64_t ret = 0;

	if (!inject->borrowed)
		ret = inject_syscall(inject, SYS_munmap, inject->scratch, INJECT_SCRATCH_SIZE, 0,
				     0, 0, 0);
	if (ret)
		return ret;
	if (inject->rseq_cs_at && inject->rseq_cs) {
		ret = copy(inject->pid, inject->rseq_cs_at, &inject->rseq_cs,
			   sizeof(inject->rseq_cs), true);
		if (ret)
			return ret;
	}
	if (ptrace(PTRACE_SETSIGMASK, inject->pid, KERNEL_SIGSET_SIZE, &inject->saved_mask) ||
	    ptrace(PTRACE_SETREGS, inject->pid, NULL, &inject->saved))
		return -errno;
	if (inject->met && kill(inject->pid, inject->met))
		return -errno;
	if (inject->stopped && kill(inject->pid, SIGSTOP))
		return -errno;
	return 0;
}

static int copy_scratch(struct inject *inject, uint32_t at, void *data, uint32_t size, bool to_task)
{
	if (at > INJECT_SCRATCH_SIZE || size > INJECT_SCRATCH_SIZE - at)
		return -E2BIG;
	return copy(inject->pid, inject->scratch + at, data, size, to_task);
}

int inject_write_at(struct inject *inject, uint32_t at, const void *data, uint32_t size)
{
	return copy_scratch(inject, at, (void *)data, size, true);
}

int inject_read_at(struct inject *inject, uint32_t at, void *data, uint32_t size)
{
	return copy_scratch(inject, at, data, size, false);
}

int inject_write(struct inject *inject, const void *data, uint32_t size)
{
	return inject_write_at(inject, 0, data, size);
}

int inject_read(struct inject *inject, void *data, uint32_t size)
{
	return inject_read_at(inject, 0, data, size);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running system calls in a task. The task is ptrace-stopped with us as its
 * tracer, about to return to what it did when it was dumped; it is left
 * exactly like that.
 */
#ifndef SEALIFT_INJECT_H
#define SEALIFT_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define INJECT_SCRATCH_SIZE 262144

/* Of ptrace's requests for a signal mask. */
#define KERNEL_SIGSET_SIZE 8

struct inject {
	pid_t pid;
	struct user_regs_struct saved;
	uint64_t saved_mask;	/* blocked signals */
	uint64_t rseq_cs_at, rseq_cs;
	uint64_t syscall_at;	/* an instruction to borrow */
	uint64_t scratch;	/* memory of ours in the task */
	bool borrowed;		/* the scratch memory is another one's */
	bool stopped;		/* a SIGSTOP was met on the way */
	int met;		/* another signal that was */
	pid_t made;		/* the last thread that it has made */
};

/* 0 or -errno; after success inject_end() must follow. */
int inject_begin(struct inject *inject, pid_t pid);

/* The same for another thread of @leader's process, which lends its scratch memory. */
int inject_begin_thread(struct inject *inject, pid_t tid, const struct inject *leader);
int inject_end(struct inject *inject);

/* The same without scratch memory, so that nothing of the task changes. -EOPNOTSUPP, and no word, of one that runs 32-bit code. */
int inject_begin_quietly(struct inject *inject, pid_t pid);

/*
 * inject_thread - make a thread in the task's process and let it run to its end
 * @code: where it begins; it has no stack, and @argument in r12. Signals are blocked
 *
 * It begins with the credentials of the task, and what it does to its own concerns no other thread. It is killed when
 * we end before it.
 * Returns its exit status or -errno.
 */
int inject_thread(struct inject *inject, uint64_t code, uint64_t argument);

/* Map @size bytes of code that the task's threads may run; at most a page. Its address or -errno. */
int64_t inject_code(struct inject *inject, const void *code, size_t size);
int inject_remove_code(struct inject *inject, uint64_t address);

/*
 * inject_run - run code in the task until it sends itself a signal
 * @code: where it begins, with @argument in r12, the signal in r13, and the task's stack pointer. The task's other signals are blocked
 * @end: where it is once that signal was sent
 *
 * The signal is one that nobody waits for, and never arrives. It is not SIGSTOP, which would take a pending SIGCONT away.
 * Returns 0 or -errno; -EBUSY if there is no such signal, and nothing was run; -ESRCH if the task died.
 */
int inject_run(struct inject *inject, uint64_t code, uint64_t argument, uint64_t end);

/* What the system call returned (a negative errno included); -ESRCH if the task died. */
int64_t inject_syscall(struct inject *inject, long number, uint64_t a, uint64_t b, uint64_t c,
		       uint64_t d, uint64_t e, uint64_t f);

/* Copy to and from the scratch memory. */
int inject_write(struct inject *inject, const void *data, uint32_t size);
int inject_read(struct inject *inject, void *data, uint32_t size);

/* The same from byte @at of it. */
int inject_write_at(struct inject *inject, uint32_t at, const void *data, uint32_t size);
int inject_read_at(struct inject *inject, uint32_t at, void *data, uint32_t size);

/* Copy from any memory of a process. 0 or -errno. */
int inject_peek(pid_t pid, uint64_t address, void *data, size_t size);

#endif

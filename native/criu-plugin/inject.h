/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running system calls in a restored task. The task is ptrace-stopped with us
 * as its tracer, about to return to what it did when it was dumped; it is left
 * exactly like that.
 */
#ifndef SEALIFT_INJECT_H
#define SEALIFT_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define INJECT_SCRATCH_SIZE 8192

struct inject {
	pid_t pid;
	struct user_regs_struct saved;
	uint64_t saved_mask;	/* blocked signals */
	uint64_t rseq_cs_at, rseq_cs;
	uint64_t syscall_at;	/* an instruction to borrow */
	uint64_t scratch;	/* memory of ours in the task */
	bool borrowed;		/* the scratch memory is another one's */
	bool stopped;		/* a SIGSTOP was met on the way */
};

/* 0 or -errno; after success inject_end() must follow. */
int inject_begin(struct inject *inject, pid_t pid);

/* The same for another thread of @leader's process, which lends its scratch memory. */
int inject_begin_thread(struct inject *inject, pid_t tid, const struct inject *leader);
int inject_end(struct inject *inject);

/* What the system call returned (a negative errno included); -ESRCH if the task died. */
int64_t inject_syscall(struct inject *inject, long number, uint64_t a, uint64_t b, uint64_t c,
		       uint64_t d, uint64_t e, uint64_t f);

/* Copy to and from the scratch memory. */
int inject_write(struct inject *inject, const void *data, uint32_t size);
int inject_read(struct inject *inject, void *data, uint32_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* What the second half of a restore does in one task. */
#ifndef SEALIFT_LATE_TASK_H
#define SEALIFT_LATE_TASK_H

#include "inject.h"
#include "restored.h"

/* Stand-ins for queues, in order of their addresses; without length once a queue has taken it. */
struct place {
	uint64_t start, length;
};

struct places {
	struct place *items;
	size_t count, room;
};

/* A restored task in which system calls can be run. */
struct late_task {
	pid_t pid;		/* CRIU's */
	uint32_t inner;		/* its own */
	struct inject inject;
	struct places places;	/* of mapping_restore() */
};

/* Put the queues of @restored that @task had mapped in their places. @fd: our descriptor of the context. */
int mapping_restore(struct late_task *task, const struct restored *restored, int fd);

/* Once @task has all its queues. */
void mapping_forget_places(struct late_task *task);

/* Register the memory regions of @restored that lie in @task. @fd: our descriptor of the context. */
int memory_regions_restore(struct late_task *task, const struct restored *restored, int fd);

/* Once all are registered: give the handles back that only kept places. */
int memory_regions_end(const struct restored *restored, int fd);

/*
 * Make write() on the context's file work again for @task, its owner. librxe
 * rings its doorbell that way, and the kernel allows it only to the opener's
 * own credentials object: CRIU opens files first and then gives each thread
 * credentials of its own.
 */
int credentials_restore(struct late_task *task, const struct restored *restored, int fd);

/* The descriptor that process @inner has of the context, or -EBADF. */
int late_context_fd(const PB(Context) *context, uint32_t inner);

#endif

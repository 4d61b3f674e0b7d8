/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contexts of a restore: what the images say, and what the first half of
 * the restore (build.h) leaves for the second (late.h) through memory shared
 * since before the tasks were forked.
 */
#ifndef SEALIFT_RESTORED_H
#define SEALIFT_RESTORED_H

#include <stdbool.h>
#include <stdint.h>

#include "driver.h"

/* What keeps a queue's place in memory until the queue can be mapped. */
#define PLACEHOLDER_NAME "sealift-queue"
#define PLACEHOLDER_LINK "/memfd:" PLACEHOLDER_NAME

/* Shared between CRIU and all restored tasks. */
struct built {
	int lock;
	int state;		/* 0 not yet, 1 built, -errno */
	int builder;		/* pid, as the builder sees itself */
	int *files;		/* stashed descriptors: context, async, channels */
	uint64_t *cq_offset;	/* for mmap(), one per CQ */
	uint64_t *srq_offset;	/* the same, one per SRQ */
	uint64_t (*qp_offset)[2]; /* SQ, RQ, one pair per QP */
};

struct restored {
	PB(Context) *context;
	const struct driver *driver;
	struct built *built;
};

/*
 * restored_read - read and check @count contexts
 * @agent: it is an agent that holds, gates and resumes
 * 0 or -errno with the reason in the log.
 */
int restored_read(int dir, size_t count, bool agent);
void restored_forget(void);

size_t restored_count(void);
struct restored *restored_at(size_t n);
bool restored_has_agent(void);

#endif

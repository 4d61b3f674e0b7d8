/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A restore has two halves. In RESTORE_EXT_FILE, inside a restored task, the
 * context is built: everything but memory regions. In RESUME_DEVICES_LATE,
 * in CRIU's main process, queues are mapped and memory is registered (late.h).
 * What the first half learns reaches the second through memory shared since
 * before the tasks were forked.
 */
#ifndef SEALIFT_RESTORE_H
#define SEALIFT_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "driver.h"

/* Shared between CRIU and all restored tasks. */
struct built {
	int lock;
	int state;		/* 0 not yet, 1 built, -errno */
	int builder;		/* pid, as the builder sees itself */
	int *files;		/* stashed descriptors: context, async, channels */
	uint64_t *cq_offset;	/* for mmap(), one per CQ */
	uint64_t (*qp_offset)[2]; /* SQ, RQ, one pair per QP */
};

struct restored {
	PB(Context) *context;
	const struct driver *driver;
	struct built *built;
};

/*
 * restore_begin - read and check the images
 * @listed: the inventory says that the plugin took part in the dump
 */
int restore_begin(bool listed, bool held_by_agent);
void restore_end(void);

/* The descriptor for CRIU's external file @id, -ENOTSUP if it is not ours. */
int restore_file(int id);

/* A stand-in that keeps a queue's place in memory until it can be mapped. */
int restore_placeholder(const char *path, uint64_t *offset, int *fd);

#define PLACEHOLDER_NAME "sealift-queue"
#define PLACEHOLDER_LINK "/memfd:" PLACEHOLDER_NAME

size_t restore_count(void);
struct restored *restore_at(size_t n);

/* Is it an agent that holds, gates and resumes? */
bool restore_has_agent(void);

#endif

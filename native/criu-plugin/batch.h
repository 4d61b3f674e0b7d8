/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many system calls of a task. Each that inject_syscall() makes stops the task twice, and wakes us as often; here the task makes all
 * of them, one after the other, before it stops. No other thread may: the kernel remembers which one has made an object.
 */
#ifndef SEALIFT_BATCH_H
#define SEALIFT_BATCH_H

#include <stddef.h>

#include "inject.h"

/* Of the scratch memory the calls use so much from its beginning; what they point to may lie behind. */
#define BATCH_SPACE (INJECT_SCRATCH_SIZE / 2)

struct batch_call {
	int64_t number;		/* afterwards what it has returned */
	uint64_t arguments[6];
};

/*
 * batch_run - make the calls in a task
 * @inject: begun with inject_begin()
 *
 * All calls are made, also after one that fails. Where the task may not run code of ours, or all of its
 * signals wait for it, inject_syscall() makes them.
 * Returns 0 or -errno if they could not be made; what each returned is in its number.
 */
int batch_run(struct inject *inject, struct batch_call *calls, size_t count);

#endif

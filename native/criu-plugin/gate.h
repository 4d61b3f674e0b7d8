/* SPDX-License-Identifier: GPL-2.0 */
/* The resume gate: the agent freezes the restored tasks, so that CRIU may detach from them. */
#ifndef SEALIFT_GATE_H
#define SEALIFT_GATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * gate_wait - have the agent at $SEALIFT_SOCKET freeze the tasks
 * @tasks: the container's threads, its first task first; each is traced
 *
 * The request says that finishing the tasks (contexts, memory regions) took
 * @register_us microseconds. Waits for the reply without a limit. If the
 * connection ends without one, or cannot be made (the agent restarts), asks
 * again every 500 ms for up to 110 s. Gives up when a task has died, when this
 * process is not $SEALIFT_RUNC_PID's child any more, or when the file
 * $SEALIFT_WHILE is gone: nothing would keep track of the tasks.
 * 0: they are frozen. -ECANCELED: no, and the reason is logged. -ETIMEDOUT: nobody
 * answers.
 */
int gate_wait(const pid_t *tasks, size_t n_tasks, uint64_t register_us);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* The restore's second half, in tasks that CRIU has restored and stopped. */
#ifndef SEALIFT_LATE_H
#define SEALIFT_LATE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * late_resume - the second half of a restore
 *
 * CRIU calls it for every task, parents first, once all are restored and stopped
 * on their way back to user space. The first call does the work for all of
 * them: queues are mapped, memory is registered, and only then is the gate
 * asked. So no task runs before the agent's reply. Later calls only check that
 * the task was among them.
 * 0 or -errno. CRIU ignores what this returns, so a failure ends the tasks.
 */
int late_resume(pid_t pid);

/* Did a restore fail here, though CRIU may think that it went well? */
bool late_failed(void);

#endif

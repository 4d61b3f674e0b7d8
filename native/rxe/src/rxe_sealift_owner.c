// SPDX-License-Identifier: GPL-2.0
/*
 * Which process has created an object, and in whose memory a region is.
 */
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <rdma/ib_umem.h>
#include <rdma/restrack.h>

#include "rxe_sealift.h"

u32 rxe_visible_pid(struct task_struct *task)
{
	return task_tgid_nr_ns(task, task_active_pid_ns(current));
}

const struct mm_struct *rxe_process_mm(struct task_struct *process)
{
	const struct mm_struct *mm;
	struct task_struct *t;

	/* the first thread may have ended before the others */
	for_each_thread(process, t) {
		mm = READ_ONCE(t->mm);
		if (mm)
			return t->flags & PF_KTHREAD ? NULL : mm;
	}

	return NULL;
}

static u32 rxe_mm_owner(const struct mm_struct *mm)
{
	struct task_struct *p;
	u32 pid = 0;

	rcu_read_lock();
	for_each_process(p) {
		if (rxe_process_mm(p) != mm)
			continue;
		pid = rxe_visible_pid(p);
		if (pid)
			break;
	}
	rcu_read_unlock();

	return pid;
}

/* Compares the address space only. The region keeps it from being freed. */
u32 rxe_mr_owner(const struct rxe_mr *mr)
{
	return mr->umem ? rxe_mm_owner(mr->umem->owning_mm) : 0;
}

u32 rxe_creator(struct rdma_restrack_entry *res)
{
	u32 pid;

	/* it is on its way out */
	if (!rdma_restrack_get(res))
		return 0;

	pid = res->task ? rxe_visible_pid(res->task) : 0;
	rdma_restrack_put(res);

	return pid;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Which process has created an object, and in whose memory a region is.
 */
#include <linux/pid.h>
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

#ifdef CONFIG_MEMCG
/* What the kernel itself notes, if that is right: without a walk. */
static u32 rxe_noted_owner(const struct mm_struct *mm)
{
	struct task_struct *owner = rcu_dereference(mm->owner);

	if (!owner || rxe_process_mm(owner->group_leader) != mm)
		return 0;

	return rxe_visible_pid(owner);
}
#else
static u32 rxe_noted_owner(const struct mm_struct *mm)
{
	return 0;
}
#endif

/* A dump asks for each region: it must not walk all processes each time. */
static u32 rxe_mm_owner(const struct mm_struct *mm)
{
	struct task_struct *p;
	u32 pid;

	rcu_read_lock();
	pid = rxe_noted_owner(mm);
	if (pid)
		goto out;

	for_each_process(p) {
		if (rxe_process_mm(p) != mm)
			continue;
		pid = rxe_visible_pid(p);
		if (pid)
			break;
	}
out:
	rcu_read_unlock();

	return pid;
}

/* Compares the address space only. The region keeps it from being freed. */
u32 rxe_mr_owner(const struct rxe_mr *mr)
{
	return mr->umem ? rxe_mm_owner(mr->umem->owning_mm) : 0;
}

/* The caller holds the pool's lock, and the element is in the pool. */
u32 rxe_elem_creator(const struct rxe_pool_elem *elem)
{
	struct task_struct *task;
	u32 pid = 0;

	rcu_read_lock();
	/* its number may be another process's by now, the struct is not */
	task = pid_task(elem->creator, PIDTYPE_TGID);
	if (task)
		pid = rxe_visible_pid(task);
	rcu_read_unlock();

	return pid;
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

// SPDX-License-Identifier: GPL-2.0
/*
 * List the objects of a device with their owners. A hold stops all of them, and
 * a process can only be moved if every object that it has can be.
 */
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <rdma/ib_umem.h>
#include <rdma/restrack.h>

#include "rxe_sealift.h"

struct rxe_listing {
	struct sealift_rxe_device_object	*objs;
	u32					max;
	u32					count;
	const struct mm_struct			*mm;
	u32					mm_owner;
};

/* The pid of @task's process in the caller's pid namespace, or 0. */
static u32 rxe_visible_pid(struct task_struct *task)
{
	return task_tgid_nr_ns(task, task_active_pid_ns(current));
}

static bool rxe_process_has_mm(struct task_struct *process,
			       const struct mm_struct *mm)
{
	struct task_struct *t;

	/* the first thread may have ended before the others */
	for_each_thread(process, t)
		if (READ_ONCE(t->mm) == mm)
			return !(t->flags & PF_KTHREAD);

	return false;
}

static u32 rxe_mm_owner(const struct mm_struct *mm)
{
	struct task_struct *p;
	u32 pid = 0;

	rcu_read_lock();
	for_each_process(p) {
		if (!rxe_process_has_mm(p, mm))
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

/* The process that created it, if it still runs. */
static u32 rxe_creator(struct rdma_restrack_entry *res)
{
	u32 pid;

	/* it is on its way out */
	if (!rdma_restrack_get(res))
		return 0;

	pid = res->task ? rxe_visible_pid(res->task) : 0;
	rdma_restrack_put(res);

	return pid;
}

/* Most regions in a row are of one process: look for it once. */
static u32 rxe_list_mr_owner(struct rxe_listing *list, const struct rxe_mr *mr)
{
	if (!mr->umem)
		return 0;

	if (list->mm != mr->umem->owning_mm) {
		list->mm = mr->umem->owning_mm;
		list->mm_owner = rxe_mm_owner(list->mm);
	}

	return list->mm_owner;
}

static struct sealift_rxe_device_object *
rxe_list_add(struct rxe_listing *list, u32 kind, u32 number,
	     const struct ib_uobject *uobj)
{
	struct sealift_rxe_device_object *obj;

	if (list->count++ >= list->max)
		return NULL;

	obj = &list->objs[list->count - 1];
	obj->kind = kind;
	obj->number = number;
	obj->handle = uobj ? uobj->id : SEALIFT_RXE_NONE;
	obj->context = uobj && uobj->context ?
		       to_ruc(uobj->context)->elem.index : SEALIFT_RXE_NONE;

	return obj;
}

/* What a hold that chooses would do, and does. */
static void rxe_list_peer(const struct rxe_dev *rxe, const struct rxe_qp *qp,
			  struct sealift_rxe_device_object *obj)
{
	struct rxe_hold_answer answer;

	if (!rxe_hold_knows_peer(qp))
		return;

	rxe_hold_choose(qp, READ_ONCE(rxe->hold.timer), &answer);
	obj->has_peer = 1;
	obj->rnr_retry = qp->attr.rnr_retry;
	obj->retry_cnt = qp->attr.retry_cnt;
	obj->timeout = qp->attr.timeout;
	obj->silent = answer.is_silent;
	obj->rnr_timer = answer.timer;
	obj->budget_ms = answer.budget_ms;
}

/*
 * The caller holds the pool's lock: an object leaves the pool before its last
 * reference is dropped, so neither it nor what it points to is freed here.
 * Does not sleep.
 */
static void rxe_list_one(struct rxe_listing *list, enum rxe_elem_type type,
			 void *any)
{
	struct sealift_rxe_device_object *obj;

	switch (type) {
	case RXE_TYPE_UC: {
		struct rxe_ucontext *uc = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_CONTEXT,
				   uc->elem.index, NULL);
		if (!obj)
			break;
		obj->context = uc->elem.index;
		obj->owner = rxe_creator(&uc->ibuc.res);
		break;
	}
	case RXE_TYPE_PD: {
		struct rxe_pd *pd = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_PD, pd->elem.index,
				   pd->ibpd.uobject);
		if (obj)
			obj->owner = rxe_creator(&pd->ibpd.res);
		break;
	}
	case RXE_TYPE_AH: {
		struct rxe_ah *ah = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_AH, ah->elem.index,
				   ah->ibah.uobject);
		if (obj && rxe_av_has_lost_source(to_rdev(ah->ibah.device),
						  &ah->av))
			obj->flags |= SEALIFT_RXE_OBJECT_NO_SOURCE;
		break;
	}
	case RXE_TYPE_SRQ: {
		struct rxe_srq *srq = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_SRQ, srq->elem.index,
				   rxe_uobject_of_srq(&srq->ibsrq));
		if (obj)
			obj->owner = rxe_creator(&srq->ibsrq.res);
		break;
	}
	case RXE_TYPE_QP: {
		struct rxe_qp *qp = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_QP, qp_num(qp),
				   rxe_uobject_of_qp(&qp->ibqp));
		if (!obj)
			break;
		obj->owner = rxe_creator(&qp->ibqp.res);
		obj->type = qp_type(qp);
		obj->num_mcast = atomic_read(&qp->mcg_num);
		rxe_list_peer(to_rdev(qp->ibqp.device), qp, obj);
		if (rxe_av_has_lost_source(to_rdev(qp->ibqp.device),
					   &qp->pri_av))
			obj->flags |= SEALIFT_RXE_OBJECT_NO_SOURCE;
		break;
	}
	case RXE_TYPE_CQ: {
		struct rxe_cq *cq = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_CQ, cq->elem.index,
				   rxe_uobject_of_cq(&cq->ibcq));
		if (obj)
			obj->owner = rxe_creator(&cq->ibcq.res);
		break;
	}
	case RXE_TYPE_MR: {
		struct rxe_mr *mr = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_MR, mr->rkey,
				   mr->ibmr.uobject);
		if (!obj)
			break;
		obj->owner = rxe_list_mr_owner(list, mr);
		obj->type = mr->ibmr.type;
		if (!mr->umem)
			break;
		obj->start = mr->umem->address;
		obj->length = mr->ibmr.length;
		obj->access = mr->access;
		break;
	}
	case RXE_TYPE_MW: {
		struct rxe_mw *mw = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_MW, mw->rkey,
				   mw->ibmw.uobject);
		if (obj)
			obj->type = mw->ibmw.type;
		break;
	}
	default:
		break;
	}
}

static void rxe_list_pool(struct rxe_listing *list, struct rxe_pool *pool)
{
	struct rxe_pool_elem *elem;
	unsigned long index;

	xa_lock(&pool->xa);
	xa_for_each(&pool->xa, index, elem)
		rxe_list_one(list, pool->type, elem->obj);
	xa_unlock(&pool->xa);
}

u32 rxe_list(struct rxe_dev *rxe, struct sealift_rxe_device_object *objs,
	     u32 max)
{
	struct rxe_listing list = { .objs = objs, .max = objs ? max : 0 };

	rxe_list_pool(&list, &rxe->uc_pool);
	rxe_list_pool(&list, &rxe->pd_pool);
	rxe_list_pool(&list, &rxe->ah_pool);
	rxe_list_pool(&list, &rxe->srq_pool);
	rxe_list_pool(&list, &rxe->qp_pool);
	rxe_list_pool(&list, &rxe->cq_pool);
	rxe_list_pool(&list, &rxe->mr_pool);
	rxe_list_pool(&list, &rxe->mw_pool);

	return list.count;
}

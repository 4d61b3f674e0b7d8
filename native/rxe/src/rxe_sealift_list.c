// SPDX-License-Identifier: GPL-2.0
/*
 * List the objects of a device with their owners. A hold stops all of them, and
 * a process can only be moved if every object that it has can be.
 */
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <rdma/ib_umem.h>

#include "rxe_sealift.h"
#include "rxe_queue.h"

/* A region whose owner and pages are still to be looked at. */
struct rxe_list_region {
	struct mm_struct			*mm;	/* grabbed */
	struct sealift_rxe_device_object	*obj;
};

struct rxe_listing {
	struct sealift_rxe_device_object	*objs;
	u32					max;
	u32					count;
	struct rxe_list_region			*regions; /* max of them */
	u32					num_regions;
};

/* There may be many regions, and many tasks: not under the pool's lock. */
static void rxe_list_defer_owner(struct rxe_listing *list,
				 const struct rxe_mr *mr,
				 struct sealift_rxe_device_object *obj)
{
	struct rxe_list_region *region;

	if (!mr->umem)
		return;

	region = &list->regions[list->num_regions++];
	region->mm = mr->umem->owning_mm;
	region->obj = obj;
	/* else another process could have it by the time that it is looked for */
	mmgrab(region->mm);
}

static int rxe_list_compare(const void *a, const void *b)
{
	const struct rxe_list_region *x = a, *y = b;

	if (x->mm == y->mm)
		return 0;

	return x->mm < y->mm ? -1 : 1;
}

/* The first of the sorted regions in @mm, or in one behind it. */
static u32 rxe_list_search(const struct rxe_listing *list,
			   const struct mm_struct *mm)
{
	u32 low = 0, high = list->num_regions, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (list->regions[middle].mm < mm)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

static void rxe_list_set_owner(struct rxe_listing *list,
			       const struct mm_struct *mm, u32 pid)
{
	u32 i;

	for (i = rxe_list_search(list, mm); i < list->num_regions; i++) {
		/* of processes that share their memory, the first one */
		if (list->regions[i].mm != mm || list->regions[i].obj->owner)
			break;
		list->regions[i].obj->owner = pid;
	}
}

/* Of all regions, in one walk over the processes. */
static void rxe_list_find_owners(struct rxe_listing *list)
{
	const struct mm_struct *mm;
	struct task_struct *p;
	u32 pid;

	sort(list->regions, list->num_regions, sizeof(*list->regions),
	     rxe_list_compare, NULL);

	rcu_read_lock();
	for_each_process(p) {
		mm = rxe_process_mm(p);
		pid = mm ? rxe_visible_pid(p) : 0;
		if (pid)
			rxe_list_set_owner(list, mm, pid);
	}
	rcu_read_unlock();
}

static int rxe_list_find_remapped(struct rxe_dev *rxe,
				  const struct rxe_listing *list)
{
	struct page **buf;
	int err = 0;
	u32 i;

	if (!list->num_regions)
		return 0;

	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;

	for (i = 0; i < list->num_regions && !err; i++)
		err = rxe_list_remapped(rxe, list->regions[i].mm,
					list->regions[i].obj, buf);
	kfree(buf);

	return err;
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

/* The caller keeps a resize from replacing it. A ring of the kernel's has no mapping. */
static void rxe_list_ring(const struct rxe_queue *q, unsigned int nth,
			  struct sealift_rxe_device_object *obj)
{
	if (!q || !q->ip)
		return;

	obj->ring_offset[nth] = q->ip->info.offset;
	obj->ring_size[nth] = q->ip->info.size;
}

static void rxe_list_srq(struct rxe_srq *srq,
			 struct sealift_rxe_device_object *obj)
{
	obj->owner = rxe_creator(&srq->ibsrq.res);
	obj->async_pending =
		rxe_uobject_async_events(rxe_uobject_of_srq(&srq->ibsrq));

	spin_lock_irq(&srq->rq.consumer_lock);
	rxe_list_ring(srq->rq.queue, SEALIFT_RXE_LIST_RING, obj);
	spin_unlock_irq(&srq->rq.consumer_lock);
}

static void rxe_list_cq(struct rxe_cq *cq,
			struct sealift_rxe_device_object *obj)
{
	obj->owner = rxe_creator(&cq->ibcq.res);
	obj->async_pending =
		rxe_uobject_async_events(rxe_uobject_of_cq(&cq->ibcq));
	obj->comp_pending = rxe_uobject_comp_events(&cq->ibcq);

	spin_lock_irq(&cq->cq_lock);
	rxe_list_ring(cq->queue, SEALIFT_RXE_LIST_RING, obj);
	spin_unlock_irq(&cq->cq_lock);
}

/* Its rings stay the same as long as it lives. */
static void rxe_list_qp(struct rxe_qp *qp,
			struct sealift_rxe_device_object *obj)
{
	struct rxe_dev *rxe = to_rdev(qp->ibqp.device);

	obj->owner = rxe_creator(&qp->ibqp.res);
	obj->type = qp_type(qp);
	obj->num_mcast = atomic_read(&qp->mcg_num);
	obj->async_pending =
		rxe_uobject_async_events(rxe_uobject_of_qp(&qp->ibqp));
	rxe_list_peer(rxe, qp, obj);
	rxe_list_source(rxe, &qp->pri_av, READ_ONCE(qp->ibqp.av_sgid_attr),
			obj);
	rxe_list_ring(qp->sq.queue, SEALIFT_RXE_LIST_RING, obj);
	rxe_list_ring(qp->rq.queue, SEALIFT_RXE_LIST_RECEIVE_RING, obj);
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
		if (!obj)
			break;
		obj->owner = ah->ibah.uobject ?
			     rxe_elem_creator(&ah->elem) : 0;
		rxe_list_source(to_rdev(ah->ibah.device), &ah->av,
				READ_ONCE(ah->ibah.sgid_attr), obj);
		break;
	}
	case RXE_TYPE_SRQ: {
		struct rxe_srq *srq = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_SRQ, srq->elem.index,
				   rxe_uobject_of_srq(&srq->ibsrq));
		if (obj)
			rxe_list_srq(srq, obj);
		break;
	}
	case RXE_TYPE_QP: {
		struct rxe_qp *qp = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_QP, qp_num(qp),
				   rxe_uobject_of_qp(&qp->ibqp));
		if (obj)
			rxe_list_qp(qp, obj);
		break;
	}
	case RXE_TYPE_CQ: {
		struct rxe_cq *cq = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_CQ, cq->elem.index,
				   rxe_uobject_of_cq(&cq->ibcq));
		if (obj)
			rxe_list_cq(cq, obj);
		break;
	}
	case RXE_TYPE_MR: {
		struct rxe_mr *mr = any;

		obj = rxe_list_add(list, SEALIFT_RXE_KIND_MR, mr->rkey,
				   mr->ibmr.uobject);
		if (!obj)
			break;
		rxe_list_defer_owner(list, mr, obj);
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
		if (!obj)
			break;
		obj->owner = rxe_elem_creator(&mw->elem);
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

int rxe_list(struct rxe_dev *rxe, struct sealift_rxe_device_object *objs,
	     u32 max, u32 *count)
{
	struct rxe_listing list = { .objs = objs, .max = objs ? max : 0 };
	int err;
	u32 i;

	if (list.max) {
		list.regions = kvcalloc(list.max, sizeof(*list.regions),
					GFP_KERNEL_ACCOUNT);
		if (!list.regions)
			return -ENOMEM;
	}

	rxe_list_pool(&list, &rxe->uc_pool);
	rxe_list_pool(&list, &rxe->pd_pool);
	rxe_list_pool(&list, &rxe->ah_pool);
	rxe_list_pool(&list, &rxe->srq_pool);
	rxe_list_pool(&list, &rxe->qp_pool);
	rxe_list_pool(&list, &rxe->cq_pool);
	rxe_list_pool(&list, &rxe->mr_pool);
	rxe_list_pool(&list, &rxe->mw_pool);

	rxe_list_find_owners(&list);
	err = rxe_list_find_remapped(rxe, &list);
	for (i = 0; i < list.num_regions; i++)
		mmdrop(list.regions[i].mm);
	kvfree(list.regions);

	*count = list.count;
	return err;
}

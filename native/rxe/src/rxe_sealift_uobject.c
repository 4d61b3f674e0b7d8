// SPDX-License-Identifier: GPL-2.0
/*
 * The part of an object's state that ib_uverbs has: handle, channel, unread
 * events. Only this file and rxe_sealift_events.c use ib_uverbs' private
 * structures.
 */
#include <rdma/uverbs_std_types.h>

#include "rxe_sealift.h"
#include "../../core/uverbs.h"

/* NULL for the kernel's own objects */
struct ib_uobject *rxe_uobject_of_srq(const struct ib_srq *ibsrq)
{
	return ibsrq->uobject ? &ibsrq->uobject->uevent.uobject : NULL;
}

struct ib_uobject *rxe_uobject_of_qp(const struct ib_qp *ibqp)
{
	return ibqp->uobject ? &ibqp->uobject->uevent.uobject : NULL;
}

struct ib_uobject *rxe_uobject_of_cq(const struct ib_cq *ibcq)
{
	return ibcq->uobject ? &ibcq->uobject->uevent.uobject : NULL;
}

static void rxe_uobjects_lock(struct ib_uverbs_file *ufile)
{
	down_read(&ufile->hw_destroy_rwsem);
	spin_lock_irq(&ufile->uobjects_lock);
}

static void rxe_uobjects_unlock(struct ib_uverbs_file *ufile)
{
	spin_unlock_irq(&ufile->uobjects_lock);
	up_read(&ufile->hw_destroy_rwsem);
}

u32 rxe_uobject_list(struct ib_uverbs_file *ufile,
		     struct sealift_rxe_object *objs, u32 max)
{
	struct ib_uobject *uobj;
	u32 count = 0;

	rxe_uobjects_lock(ufile);
	/* new ones are added at the head */
	list_for_each_entry_reverse(uobj, &ufile->uobjects, list) {
		if (objs && count < max) {
			objs[count].type = uobj_get_object_id(uobj);
			objs[count].handle = uobj->id;
		}
		count++;
	}
	rxe_uobjects_unlock(ufile);

	return count;
}

static u32 rxe_uobject_index(struct ib_uverbs_file *ufile,
			     const struct ib_uobject *wanted)
{
	struct ib_uobject *uobj;
	u32 index = 0, found = SEALIFT_RXE_NONE;

	rxe_uobjects_lock(ufile);
	list_for_each_entry_reverse(uobj, &ufile->uobjects, list) {
		if (uobj == wanted) {
			found = index;
			break;
		}
		index++;
	}
	rxe_uobjects_unlock(ufile);

	return found;
}

static u32 rxe_count_events(struct ib_uverbs_event_queue *evq,
			    struct list_head *list)
{
	u32 count;

	spin_lock_irq(&evq->lock);
	count = list_count_nodes(list);
	spin_unlock_irq(&evq->lock);

	return count;
}

/* Events of the device itself have no counter, those of an object have one. */
static u32 rxe_device_events(struct ib_uverbs_async_event_file *file)
{
	struct ib_uverbs_event *ev;
	u32 mask = 0;

	spin_lock_irq(&file->ev_queue.lock);
	list_for_each_entry(ev, &file->ev_queue.event_list, list)
		if (!ev->counter && ev->desc.async.event_type < 32)
			mask |= BIT(ev->desc.async.event_type);
	spin_unlock_irq(&file->ev_queue.lock);

	return mask;
}

static u32 rxe_object_events(struct ib_uevent_object *uevent)
{
	/* of an object that is being created it is set last */
	struct ib_uverbs_async_event_file *file = READ_ONCE(uevent->event_file);
	struct ib_uverbs_event *ev;
	u32 mask = 0;

	if (!file)
		return 0;

	spin_lock_irq(&file->ev_queue.lock);
	list_for_each_entry(ev, &uevent->event_list, obj_list)
		if (ev->desc.async.event_type < 32)
			mask |= BIT(ev->desc.async.event_type);
	spin_unlock_irq(&file->ev_queue.lock);

	return mask;
}

/* NULL for the kernel's own objects, which have no events */
u32 rxe_uobject_async_events(struct ib_uobject *uobj)
{
	return uobj ? rxe_object_events(container_of(uobj,
						     struct ib_uevent_object,
						     uobject)) : 0;
}

u32 rxe_uobject_comp_events(const struct ib_cq *ibcq)
{
	struct ib_uverbs_event_queue *evq = ibcq->cq_context;

	/* of a CQ of the kernel it is something else */
	if (!ibcq->uobject || !evq)
		return 0;

	return rxe_count_events(evq, &ibcq->uobject->comp_list);
}

void rxe_uobject_dump_context(struct ib_uverbs_file *ufile,
			      struct sealift_rxe_context *out)
{
	struct ib_uverbs_async_event_file *file;

	out->number = to_ruc(ufile->ucontext)->elem.index;

	/* pairs with the release that ib_uverbs publishes it by */
	file = smp_load_acquire(&ufile->default_async_file);
	out->async = SEALIFT_RXE_NONE;
	if (!file)
		return;

	out->async = rxe_uobject_index(ufile, &file->uobj);
	out->async_pending = rxe_device_events(file);
}

void rxe_uobject_dump_channel(struct ib_uobject *uobj,
			      struct sealift_rxe_fd *out)
{
	struct ib_uverbs_completion_event_file *file =
		container_of(uobj, typeof(*file), uobj);

	out->index = rxe_uobject_index(uobj->ufile, uobj);
	out->pending = rxe_count_events(&file->ev_queue,
					&file->ev_queue.event_list);
}

void rxe_uobject_dump_async(struct ib_uobject *uobj,
			    struct sealift_rxe_fd *out)
{
	struct ib_uverbs_async_event_file *file =
		container_of(uobj, typeof(*file), uobj);

	out->index = rxe_uobject_index(uobj->ufile, uobj);
	out->pending = rxe_count_events(&file->ev_queue,
					&file->ev_queue.event_list);
}

bool rxe_uobject_cq_has_channel(struct ib_cq *ibcq)
{
	return ibcq->cq_context;
}

void rxe_uobject_dump_cq(struct ib_cq *ibcq, struct sealift_rxe_cq *out)
{
	struct ib_ucq_object *ucq = ibcq->uobject;
	struct ib_uverbs_event_queue *evq = ibcq->cq_context;
	struct ib_uverbs_completion_event_file *file;

	out->user_handle = ucq->uevent.uobject.user_handle;
	out->comp_reported = ucq->comp_events_reported;
	out->async_pending = rxe_object_events(&ucq->uevent);
	out->async_reported = ucq->uevent.events_reported;
	out->channel = SEALIFT_RXE_NONE;

	if (evq) {
		file = container_of(evq, typeof(*file), ev_queue);
		out->channel = rxe_uobject_index(ucq->uevent.uobject.ufile,
						 &file->uobj);
		out->comp_pending = rxe_count_events(evq, &ucq->comp_list);
	}
}

void rxe_uobject_dump_srq(struct ib_srq *ibsrq, struct sealift_rxe_srq *out)
{
	struct ib_usrq_object *usrq = ibsrq->uobject;

	out->user_handle = usrq->uevent.uobject.user_handle;
	out->async_pending = rxe_object_events(&usrq->uevent);
	out->async_reported = usrq->uevent.events_reported;
}

void rxe_uobject_dump_qp(struct ib_qp *ibqp, struct sealift_rxe_qp *out)
{
	struct ib_uqp_object *uqp = ibqp->uobject;

	out->user_handle = uqp->uevent.uobject.user_handle;
	out->async_pending = rxe_object_events(&uqp->uevent);
	out->async_reported = uqp->uevent.events_reported;

	out->pd_handle = ibqp->pd->uobject->id;
	out->send_cq_handle = ibqp->send_cq->uobject->uevent.uobject.id;
	out->recv_cq_handle = ibqp->recv_cq->uobject->uevent.uobject.id;
	out->srq_handle = ibqp->srq ? ibqp->srq->uobject->uevent.uobject.id :
				      SEALIFT_RXE_NONE;
}

bool rxe_uobject_cq_is_new(struct ib_cq *ibcq)
{
	struct ib_ucq_object *ucq = ibcq->uobject;
	struct ib_uverbs_event_queue *evq = ibcq->cq_context;

	return !ucq->comp_events_reported && !ucq->uevent.events_reported &&
	       !rxe_object_events(&ucq->uevent) &&
	       !(evq && rxe_count_events(evq, &ucq->comp_list));
}

bool rxe_uobject_srq_is_new(struct ib_srq *ibsrq)
{
	struct ib_usrq_object *usrq = ibsrq->uobject;

	return !usrq->uevent.events_reported &&
	       !rxe_object_events(&usrq->uevent);
}

bool rxe_uobject_qp_is_new(struct ib_qp *ibqp)
{
	struct ib_uqp_object *uqp = ibqp->uobject;

	return !uqp->uevent.events_reported && !rxe_object_events(&uqp->uevent);
}

int rxe_uobject_restore_cq(struct ib_cq *ibcq, const struct sealift_rxe_cq *in)
{
	struct ib_ucq_object *ucq = ibcq->uobject;
	struct ib_uverbs_event_queue *evq = ibcq->cq_context;
	u32 i;

	ucq->comp_events_reported = in->comp_reported;
	ucq->uevent.events_reported = in->async_reported;

	for (i = 0; i < in->comp_pending; i++)
		ibcq->comp_handler(ibcq, ibcq->cq_context);

	/*
	 * ib_uverbs drops an event silently when it has no memory: count them.
	 * The application may have read some already.
	 */
	if (in->comp_pending &&
	    rxe_count_events(evq, &ucq->comp_list) +
	    READ_ONCE(ucq->comp_events_reported) - in->comp_reported <
	    in->comp_pending)
		return -ENOMEM;

	return 0;
}

void rxe_uobject_restore_srq(struct ib_srq *ibsrq,
			     const struct sealift_rxe_srq *in)
{
	ibsrq->uobject->uevent.events_reported = in->async_reported;
}

void rxe_uobject_restore_qp(struct ib_qp *ibqp, const struct sealift_rxe_qp *in)
{
	ibqp->uobject->uevent.events_reported = in->async_reported;
}

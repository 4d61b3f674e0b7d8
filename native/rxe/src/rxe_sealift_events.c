// SPDX-License-Identifier: GPL-2.0
/*
 * The asynchronous events of a context that nobody has read. ib_uverbs keeps
 * them in one list, in their order; an event of an object is in a list of that
 * object too, and points to its counter.
 */
#include <linux/slab.h>
#include <rdma/uverbs_std_types.h>

#include "rxe_sealift.h"
#include "../../core/uverbs.h"

static struct ib_uverbs_async_event_file *
rxe_event_file(struct ib_uverbs_file *ufile)
{
	/* pairs with the release that ib_uverbs publishes it by */
	return smp_load_acquire(&ufile->default_async_file);
}

/* The list's lock is held: an object takes its events along when it goes. */
static void rxe_event_dump(const struct ib_uverbs_event *ev,
			   struct sealift_rxe_event *out)
{
	struct ib_uevent_object *uevent;

	out->type = ev->desc.async.event_type;
	if (ev->counter) {
		uevent = container_of(ev->counter, struct ib_uevent_object,
				      events_reported);
		out->object = uobj_get_object_id(&uevent->uobject);
		out->handle = uevent->uobject.id;
	} else {
		out->object = SEALIFT_RXE_NONE;
		out->handle = ev->desc.async.element;
	}
}

static void rxe_event_tells(const struct ib_uverbs_event *ev, u32 *port_state)
{
	if (ev->desc.async.event_type == IB_EVENT_PORT_ACTIVE)
		*port_state = IB_PORT_ACTIVE;
	else if (ev->desc.async.event_type == IB_EVENT_PORT_ERR)
		*port_state = IB_PORT_DOWN;
}

u32 rxe_events_dump(struct ib_uverbs_file *ufile,
		    struct sealift_rxe_event *events, u32 max, u32 *port_state)
{
	struct ib_uverbs_async_event_file *file = rxe_event_file(ufile);
	struct ib_uverbs_event *ev;
	u32 count = 0;

	if (!file)
		return 0;

	spin_lock_irq(&file->ev_queue.lock);
	list_for_each_entry(ev, &file->ev_queue.event_list, list) {
		if (events && count < max)
			rxe_event_dump(ev, &events[count]);
		rxe_event_tells(ev, port_state);
		count++;
	}
	spin_unlock_irq(&file->ev_queue.lock);

	return count;
}

/*
 * Nobody else may destroy the object meanwhile: as a lookup for reading does
 * (uverbs_try_lock_object()), which ib_uverbs keeps to itself.
 */
static struct ib_uevent_object *
rxe_event_pin(struct ib_uverbs_file *ufile,
	      const struct ib_uverbs_async_event_file *file,
	      const struct sealift_rxe_event *in)
{
	struct ib_uevent_object *uevent;
	struct ib_uobject *uobj;
	int err = 0;

	rcu_read_lock();
	uobj = xa_load(&ufile->idr, in->handle);
	if (!uobj)
		err = -ENOENT;
	else if (uobj_get_object_id(uobj) != in->object)
		err = -EINVAL;
	else if (atomic_fetch_add_unless(&uobj->usecnt, 1, -1) == -1)
		err = -EBUSY;
	rcu_read_unlock();
	if (err)
		return ERR_PTR(err);

	uevent = container_of(uobj, struct ib_uevent_object, uobject);
	if (READ_ONCE(uevent->event_file) == file)
		return uevent;

	atomic_dec(&uobj->usecnt);
	return ERR_PTR(-EINVAL);
}

static struct ib_uverbs_event *
rxe_event_new(struct ib_uverbs_file *ufile,
	      const struct ib_uverbs_async_event_file *file,
	      const struct sealift_rxe_event *in)
{
	struct ib_uevent_object *uevent;
	struct ib_uverbs_event *ev;

	/* ib_uverbs frees it */
	ev = kzalloc(sizeof(*ev), GFP_KERNEL_ACCOUNT);
	if (!ev)
		return ERR_PTR(-ENOMEM);

	ev->desc.async.event_type = in->type;
	INIT_LIST_HEAD(&ev->obj_list);
	if (in->object == SEALIFT_RXE_NONE) {
		ev->desc.async.element = in->handle;
		return ev;
	}

	uevent = rxe_event_pin(ufile, file, in);
	if (IS_ERR(uevent)) {
		kfree(ev);
		return ERR_CAST(uevent);
	}
	ev->desc.async.element = uevent->uobject.user_handle;
	ev->counter = &uevent->events_reported;
	return ev;
}

static struct ib_uevent_object *rxe_event_object(struct ib_uverbs_event *ev)
{
	return container_of(ev->counter, struct ib_uevent_object,
			    events_reported);
}

static void rxe_events_drop(struct list_head *list)
{
	struct ib_uverbs_event *ev, *tmp;

	list_for_each_entry_safe(ev, tmp, list, list) {
		if (ev->counter)
			atomic_dec(&rxe_event_object(ev)->uobject.usecnt);
		kfree(ev);
	}
}

static int rxe_events_insert(struct ib_uverbs_event_queue *evq,
			     struct list_head *list, u32 count)
{
	struct ib_uverbs_event *ev;
	int err = 0;

	spin_lock_irq(&evq->lock);
	if (evq->is_closed) {
		err = -EINVAL;
	} else if (list_count_nodes(&evq->event_list) + count >
		   SEALIFT_RXE_MAX_ASYNC_EVENTS + 1) {
		/* one more: the state of the port is not of the image */
		err = -E2BIG;
	} else {
		list_for_each_entry(ev, list, list) {
			if (!ev->counter)
				continue;
			list_add_tail(&ev->obj_list,
				      &rxe_event_object(ev)->event_list);
			atomic_dec(&rxe_event_object(ev)->uobject.usecnt);
		}
		list_splice_init(list, &evq->event_list);
	}
	spin_unlock_irq(&evq->lock);

	return err;
}

int rxe_events_restore(struct ib_uverbs_file *ufile,
		       const struct sealift_rxe_event *events, u32 count)
{
	struct ib_uverbs_async_event_file *file = rxe_event_file(ufile);
	struct ib_uverbs_event *ev;
	LIST_HEAD(list);
	int err = 0;
	u32 i;

	if (!file)
		return -EINVAL;
	if (!count)
		return 0;

	for (i = 0; i < count; i++) {
		ev = rxe_event_new(ufile, file, &events[i]);
		if (IS_ERR(ev)) {
			err = PTR_ERR(ev);
			goto out;
		}
		list_add_tail(&ev->list, &list);
	}

	err = rxe_events_insert(&file->ev_queue, &list, count);
	if (!err) {
		wake_up_interruptible(&file->ev_queue.poll_wait);
		kill_fasync(&file->ev_queue.async_queue, SIGIO, POLL_IN);
	}
out:
	rxe_events_drop(&list);
	return err;
}

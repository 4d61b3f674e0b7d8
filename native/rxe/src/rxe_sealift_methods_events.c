// SPDX-License-Identifier: GPL-2.0
/* The methods of unread asynchronous events. */
#include <linux/slab.h>

#include "rxe_sealift_methods.h"

static int rxe_sealift_dump_events(struct ib_uverbs_file *ufile,
				   const struct sealift_rxe_buffer *buf,
				   struct sealift_rxe_events *out)
{
	struct sealift_rxe_event *events;
	u32 max;
	int err = 0;

	out->count = rxe_events_dump(ufile, NULL, 0, &out->port_state);
	if (out->count > SEALIFT_RXE_MAX_ASYNC_EVENTS)
		return -E2BIG;
	if (!buf->address)
		return 0;

	max = out->count;
	if (buf->size / sizeof(*events) < max)
		return -ENOSPC;
	if (!max)
		return 0;

	events = kvcalloc(max, sizeof(*events), GFP_KERNEL_ACCOUNT);
	if (!events)
		return -ENOMEM;

	out->count = rxe_events_dump(ufile, events, max, &out->port_state);
	if (out->count > max)
		err = -ENOSPC;
	else if (copy_to_user(u64_to_user_ptr(buf->address), events,
			      out->count * sizeof(*events)))
		err = -EFAULT;

	kvfree(events);
	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_EVENTS)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_events out = {};
	struct sealift_rxe_buffer in;
	int err, err2;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_EVENTS_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	/* if no unread event tells; of a change from here on there may be one */
	out.port_state = READ_ONCE(rxe->port.attr.state);
	err = rxe_fault_around(RXE_FAULT_DUMP_EVENTS,
			       rxe_sealift_dump_events(attrs->ufile, &in,
						       &out));
	if (err && err != -ENOSPC && err != -E2BIG)
		return err;

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_EVENTS_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

/* The process was told of another state: tell it of this one. */
static void rxe_sealift_add_state(const struct rxe_dev *rxe,
				  const struct sealift_rxe_events *in,
				  struct sealift_rxe_event *events, u32 *count)
{
	u32 state = READ_ONCE(rxe->port.attr.state);

	if (state == in->port_state)
		return;

	events[(*count)++] = (struct sealift_rxe_event){
		.type = state == IB_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE :
						  IB_EVENT_PORT_ERR,
		.object = SEALIFT_RXE_NONE,
		.handle = 1,
	};
}

static int rxe_sealift_restore_events(struct rxe_dev *rxe,
				      struct ib_uverbs_file *ufile,
				      const struct sealift_rxe_events *in,
				      const struct sealift_rxe_buffer *list)
{
	struct sealift_rxe_event *events;
	u32 count = in->count, i;
	int err = 0;

	events = kvcalloc(count + 1, sizeof(*events), GFP_KERNEL_ACCOUNT);
	if (!events)
		return -ENOMEM;

	if (copy_from_user(events, u64_to_user_ptr(list->address), list->size))
		err = -EFAULT;

	for (i = 0; i < count && !err; i++)
		err = rxe_check_event(&events[i]);
	if (err)
		goto out;

	rxe_sealift_add_state(rxe, in, events, &count);
	err = rxe_fault_around(RXE_FAULT_RESTORE_EVENTS,
			       rxe_events_restore(ufile, events, count));
out:
	kvfree(events);
	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_EVENTS)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_buffer list;
	struct sealift_rxe_events in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_EVENTS_IN);
	if (!err)
		err = uverbs_copy_from(&list, attrs,
				       SEALIFT_RXE_ATTR_RESTORE_EVENTS_LIST);
	if (!err)
		err = rxe_check_buffer(&list);
	if (err)
		return err;

	if (in.count > SEALIFT_RXE_MAX_ASYNC_EVENTS)
		return -E2BIG;
	if (list.size != in.count * sizeof(struct sealift_rxe_event) ||
	    (in.port_state != IB_PORT_DOWN && in.port_state != IB_PORT_ACTIVE))
		return -EINVAL;

	return rxe_sealift_restore_events(rxe, attrs->ufile, &in, &list);
}

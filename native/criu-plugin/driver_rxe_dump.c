// SPDX-License-Identifier: GPL-2.0
/* rxe's side of a dump: from the driver's structs to the image's records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "driver_rxe.h"
#include "driver_rxe_dump.h"
#include "log.h"

#define QPT_RC 2
#define MAX_RING_BYTES (64U << 20)

static const char *unsupported_name(uint32_t type)
{
	switch (type) {
	case UVERBS_OBJECT_AH:		return "an address handle";
	case UVERBS_OBJECT_MW:		return "a memory window";
	case UVERBS_OBJECT_FLOW:	return "a flow steering rule";
	case UVERBS_OBJECT_XRCD:	return "an XRC domain";
	case UVERBS_OBJECT_RWQ_IND_TBL:	return "a receive work queue table";
	case UVERBS_OBJECT_WQ:		return "a work queue";
	case UVERBS_OBJECT_FLOW_ACTION:	return "a flow action";
	case UVERBS_OBJECT_DM:		return "device memory";
	case UVERBS_OBJECT_COUNTERS:	return "a counter set";
	default:			return "an object of an unknown kind";
	}
}

static int add_ring(struct rings *rings, PB(Ring) kind, uint32_t handle,
		    const struct sealift_rxe_ring *ring)
{
	struct ring *grown;

	if (!ring->size)
		return 0;
	grown = realloc(rings->items, (rings->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	grown[rings->count++] = (struct ring){
		.kind = kind,
		.handle = handle,
		.offset = ring->mmap_offset,
		.size = ring->mmap_size,
	};
	rings->items = grown;
	return 0;
}

static PB(DriverState) *new_state(const void *state, size_t size, size_t buffers)
{
	PB(DriverState) *driver = calloc(1, sizeof(*driver));

	if (!driver)
		return NULL;
	sealift__ibverbs__driver_state__init(driver);
	driver->buffers = calloc(buffers, sizeof(*driver->buffers));
	if (!driver->buffers || image_bytes(&driver->state, state, size)) {
		free(driver->buffers);
		free(driver);
		return NULL;
	}
	driver->n_buffers = buffers;
	return driver;
}

/* A buffer of the record itself, so that the driver fills the image in place. */
static int reserve(PB(DriverState) *driver, unsigned int nth, uint32_t size,
		   struct sealift_rxe_buffer *buffer)
{
	if (size > MAX_RING_BYTES)
		return -EFBIG;
	driver->buffers[nth].data = calloc(1, size ? size : 1);
	if (!driver->buffers[nth].data)
		return -ENOMEM;
	driver->buffers[nth].len = size;
	buffer->address = size ? (uintptr_t)driver->buffers[nth].data : 0;
	buffer->size = size;
	return 0;
}

static int dump_cq(int fd, uint32_t handle, PB(Context) *context, struct rings *rings,
		   struct async_events *events)
{
	struct sealift_rxe_buffer none = {}, buffer = {};
	struct sealift_rxe_cq cq;
	PB(CompletionQueue) *record;
	int ret;

	ret = rxe_dump_cq(fd, handle, &none, &cq);
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__completion_queue__init(record);
	ret = image_append(&context->cqs, &context->n_cqs, record);
	if (ret) {
		free(record);
		return ret;
	}
	record->driver = new_state(&cq, sizeof(cq), 1);
	if (!record->driver)
		return -ENOMEM;
	ret = reserve(record->driver, 0, cq.ring.size, &buffer);
	if (!ret)
		ret = rxe_dump_cq(fd, handle, &buffer, &cq);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &cq, sizeof(cq));
	events->objects += __builtin_popcount(cq.async_pending);
	record->handle = handle;
	record->cqe = cq.cqe;
	record->user_handle = cq.user_handle;
	record->has_channel = cq.channel != SEALIFT_RXE_NONE;
	record->channel = record->has_channel ? cq.channel : 0;
	return add_ring(rings, SEALIFT__IBVERBS__RING__CQ, handle, &cq.ring);
}

static int dump_srq(int fd, uint32_t handle, PB(Context) *context, struct rings *rings,
		    struct async_events *events)
{
	struct sealift_rxe_buffer none = {}, buffer = {};
	PB(SharedReceiveQueue) *record;
	struct sealift_rxe_srq srq;
	int ret;

	ret = rxe_dump_srq(fd, handle, &none, &srq);
	if (ret == -EOPNOTSUPP)
		log_fail("unsupported",
			 "shared receive queue %u is for XRC or tag matching; destroy it first", handle);
	if (!ret && srq.ring.size > MAX_RING_BYTES) {
		log_fail("unsupported",
			 "shared receive queue %u has room for %u requests, %u MiB; resize it to %u MiB or less (ibv_modify_srq())",
			 handle, srq.max_wr, srq.ring.size >> 20, MAX_RING_BYTES >> 20);
		ret = -EOPNOTSUPP;
	}
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__shared_receive_queue__init(record);
	ret = image_append(&context->srqs, &context->n_srqs, record);
	if (ret) {
		free(record);
		return ret;
	}
	record->driver = new_state(&srq, sizeof(srq), 1);
	if (!record->driver)
		return -ENOMEM;
	ret = reserve(record->driver, 0, srq.ring.size, &buffer);
	if (!ret)
		ret = rxe_dump_srq(fd, handle, &buffer, &srq);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &srq, sizeof(srq));
	events->objects += __builtin_popcount(srq.async_pending);
	record->handle = handle;
	record->user_handle = srq.user_handle;
	record->pd = srq.pd_handle;
	record->max_wr = srq.max_wr;
	record->max_sge = srq.max_sge;
	return add_ring(rings, SEALIFT__IBVERBS__RING__SRQ, handle, &srq.ring);
}

static int dump_path(PB(QueuePair) *record, const struct sealift_rxe_qp_attr *attr)
{
	PB(Path) *path;

	if (!attr->av.present)
		return 0;
	path = calloc(1, sizeof(*path));
	if (!path)
		return -ENOMEM;
	sealift__ibverbs__path__init(path);
	record->path = path;
	path->port = attr->port_num;
	path->sgid_index = attr->av.sgid_index;
	path->dest_qpn = attr->dest_qpn;
	if (image_bytes(&path->sgid, attr->av.sgid, 16) ||
	    image_bytes(&path->dgid, attr->av.dgid, 16))
		return -ENOMEM;
	return 0;
}

static int check_qp(const struct sealift_rxe_qp *qp)
{
	if (qp->qp_type != QPT_RC) {
		log_fail("unsupported",
			 "queue pair %#x is of type %u; only reliable connections (RC) can move, destroy it first",
			 qp->qpn, qp->qp_type);
		return -EOPNOTSUPP;
	}
	if (qp->num_mcast) {
		log_fail("unsupported",
			 "queue pair %#x is in a multicast group; let it leave the group first",
			 qp->qpn);
		return -EOPNOTSUPP;
	}
	return 0;
}

static void fill_qp(PB(QueuePair) *record, uint32_t handle, const struct sealift_rxe_qp *qp)
{
	record->handle = handle;
	record->qpn = qp->qpn;
	record->type = qp->qp_type;
	record->state = qp->state;
	record->user_handle = qp->user_handle;
	record->pd = qp->pd_handle;
	record->send_cq = qp->send_cq_handle;
	record->recv_cq = qp->recv_cq_handle;
	record->sq_sig_all = qp->sq_sig_all;
	record->max_send_wr = qp->max_send_wr;
	record->max_send_sge = qp->max_send_sge;
	record->max_inline = qp->max_inline;
	record->max_recv_wr = qp->max_recv_wr;
	record->max_recv_sge = qp->max_recv_sge;
	record->has_srq = qp->srq_handle != SEALIFT_RXE_NONE;
	record->srq = record->has_srq ? qp->srq_handle : 0;
}

static int dump_qp(int fd, uint32_t handle, PB(Context) *context, struct rings *rings,
		   struct async_events *events)
{
	struct sealift_rxe_qp_buffers none = {}, buffers = {};
	struct sealift_rxe_qp qp;
	PB(QueuePair) *record;
	int ret;

	ret = rxe_dump_qp(fd, handle, &none, &qp);
	if (ret)
		return ret;
	ret = check_qp(&qp);
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__queue_pair__init(record);
	ret = image_append(&context->qps, &context->n_qps, record);
	if (ret) {
		free(record);
		return ret;
	}
	record->driver = new_state(&qp, sizeof(qp), 3);
	if (!record->driver)
		return -ENOMEM;
	ret = reserve(record->driver, 0, qp.sq.size, &buffers.sq);
	if (!ret)
		ret = reserve(record->driver, 1, qp.rq.size, &buffers.rq);
	if (!ret)
		ret = reserve(record->driver, 2, qp.num_res * sizeof(struct sealift_rxe_res),
			      &buffers.res);
	if (!ret)
		ret = rxe_dump_qp(fd, handle, &buffers, &qp);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &qp, sizeof(qp));
	events->objects += __builtin_popcount(qp.async_pending);
	fill_qp(record, handle, &qp);
	ret = dump_path(record, &qp.attr);
	if (!ret)
		ret = add_ring(rings, SEALIFT__IBVERBS__RING__SQ, handle, &qp.sq);
	if (!ret)
		ret = add_ring(rings, SEALIFT__IBVERBS__RING__RQ, handle, &qp.rq);
	return ret;
}

static int dump_mr(int fd, uint32_t handle, PB(Context) *context)
{
	PB(MemoryRegion) *record;
	struct sealift_rxe_mr mr;
	int ret;

	ret = rxe_dump_mr(fd, handle, &mr);
	if (ret == -EOPNOTSUPP || (!ret && mr.num_mw)) {
		log_fail("unsupported",
			 "memory region %u is not plain user memory or has memory windows; deregister it first",
			 handle);
		return -EOPNOTSUPP;
	}
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__memory_region__init(record);
	record->handle = handle;
	record->pd = mr.pd_handle;
	record->start = mr.start;
	record->length = mr.length;
	record->iova = mr.iova;
	record->access = mr.access;
	record->lkey = mr.lkey;
	record->rkey = mr.rkey;
	record->has_pid = true;
	record->pid = mr.owner;
	ret = image_append(&context->mrs, &context->n_mrs, record);
	if (ret)
		free(record);
	return ret;
}

static int dump_pd(uint32_t handle, PB(Context) *context)
{
	PB(ProtectionDomain) *record = calloc(1, sizeof(*record));
	int ret;

	if (!record)
		return -ENOMEM;
	sealift__ibverbs__protection_domain__init(record);
	record->handle = handle;
	ret = image_append(&context->pds, &context->n_pds, record);
	if (ret)
		free(record);
	return ret;
}

static int dump_event_file(uint32_t index, bool async, PB(Context) *context)
{
	PB(EventFile) *record = calloc(1, sizeof(*record));
	int ret = 0;

	if (!record)
		return -ENOMEM;
	sealift__ibverbs__event_file__init(record);
	record->index = index;
	if (!async) {
		ret = image_append(&context->channels, &context->n_channels, record);
		if (ret)
			free(record);
	} else if (context->async) {
		free(record);
		log_fail("unsupported",
			 "a context has several asynchronous event files; close all but one");
		ret = -EOPNOTSUPP;
	} else {
		context->async = record;
	}
	return ret;
}

static int dump_object(int fd, const struct sealift_rxe_object *object, uint32_t index,
		       PB(Context) *context, struct rings *rings, struct async_events *events)
{
	switch (object->type) {
	case UVERBS_OBJECT_PD:
		return dump_pd(object->handle, context);
	case UVERBS_OBJECT_CQ:
		return dump_cq(fd, object->handle, context, rings, events);
	case UVERBS_OBJECT_SRQ:
		return dump_srq(fd, object->handle, context, rings, events);
	case UVERBS_OBJECT_QP:
		return dump_qp(fd, object->handle, context, rings, events);
	case UVERBS_OBJECT_MR:
		return dump_mr(fd, object->handle, context);
	case UVERBS_OBJECT_COMP_CHANNEL:
		return dump_event_file(index, false, context);
	case UVERBS_OBJECT_ASYNC_EVENT:
		return dump_event_file(index, true, context);
	default:
		log_fail("unsupported", "the process has %s (handle %u); destroy it first",
			 unsupported_name(object->type), object->handle);
		return -EOPNOTSUPP;
	}
}

int rxe_dump(int fd, PB(Context) *context, struct rings *rings, struct async_events *events)
{
	struct sealift_rxe_object *list = NULL;
	struct sealift_rxe_context info = {};
	uint32_t i = 0;
	int ret;

	ret = rxe_dump_context(fd, NULL, 0, &info);
	if (!ret && info.count) {
		list = calloc(info.count, sizeof(*list));
		if (!list)
			return -ENOMEM;
		ret = rxe_dump_context(fd, list, info.count, &info);
	}
	/* The tasks are frozen: nothing can have been added in between. */
	for (; !ret && i < info.count; i++)
		ret = dump_object(fd, &list[i], i, context, rings, events);
	events->device = info.async_pending;
	if (ret && ret != -EOPNOTSUPP && i)
		log_fail("kernel", "object %u of kind %u, handle %u cannot be dumped: %s", i - 1,
			 list[i - 1].type, list[i - 1].handle, strerror(-ret));
	else if (ret && ret != -EOPNOTSUPP)
		log_fail("kernel", "the objects cannot be listed: %s", strerror(-ret));
	free(list);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/* rxe's side of a dump: from the driver's structs to the image's records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "driver_rxe_dump.h"
#include "driver_rxe_events.h"
#include "driver_rxe_methods.h"
#include "driver_rxe_record.h"
#include "driver_rxe_ring.h"
#include "log.h"

static const char *unsupported_name(uint32_t type)
{
	switch (type) {
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

static int dump_cq(int fd, uint32_t handle, PB(Context) *context, struct rings *rings)
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
	record->driver = rxe_new_state(&cq, sizeof(cq), 1);
	if (!record->driver)
		return -ENOMEM;
	ret = rxe_reserve(record->driver, 0, cq.ring.size, &buffer);
	if (!ret)
		ret = rxe_dump_cq(fd, handle, &buffer, &cq);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &cq, sizeof(cq));
	record->handle = handle;
	record->cqe = cq.cqe;
	record->user_handle = cq.user_handle;
	record->has_channel = cq.channel != SEALIFT_RXE_NONE;
	record->channel = record->has_channel ? cq.channel : 0;
	ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__CQ, handle, &cq.ring);
	return ret ? ret : rxe_pack_ring(&record->driver->buffers[0], &cq.ring);
}

static int dump_srq(int fd, uint32_t handle, PB(Context) *context, struct rings *rings)
{
	struct sealift_rxe_buffer none = {}, buffer = {};
	PB(SharedReceiveQueue) *record;
	struct sealift_rxe_srq srq;
	int ret;

	ret = rxe_dump_srq(fd, handle, &none, &srq);
	if (ret == -EOPNOTSUPP)
		log_fail("unsupported",
			 "shared receive queue %u is for XRC or tag matching; destroy it first", handle);
	if (!ret && srq.ring.size > RXE_MAX_RING_BYTES) {
		log_fail("unsupported",
			 "shared receive queue %u has room for %u requests, %u MiB; resize it to %u MiB or less (ibv_modify_srq())",
			 handle, srq.max_wr, srq.ring.size >> 20, RXE_MAX_RING_BYTES >> 20);
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
	record->driver = rxe_new_state(&srq, sizeof(srq), 1);
	if (!record->driver)
		return -ENOMEM;
	ret = rxe_reserve(record->driver, 0, srq.ring.size, &buffer);
	if (!ret)
		ret = rxe_dump_srq(fd, handle, &buffer, &srq);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &srq, sizeof(srq));
	record->handle = handle;
	record->user_handle = srq.user_handle;
	record->pd = srq.pd_handle;
	record->max_wr = srq.max_wr;
	record->max_sge = srq.max_sge;
	ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__SRQ, handle, &srq.ring);
	return ret ? ret : rxe_pack_ring(&record->driver->buffers[0], &srq.ring);
}

static unsigned long long remapped_at(const struct sealift_rxe_mr *mr)
{
	uint64_t size = sysconf(_SC_PAGESIZE);

	return (mr->start & ~(size - 1)) + mr->remapped_page * size;
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
	if (mr.flags & SEALIFT_RXE_OBJECT_REMAPPED) {
		log_fail("unsupported",
			 "memory region %#x (handle %u) is over memory that process %u has freed or replaced since, at %#llx, and a restore would put it over what is there now; deregister it first",
			 mr.lkey, handle, mr.owner, remapped_at(&mr));
		return -EOPNOTSUPP;
	}
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

static int dump_ah(int fd, uint32_t handle, PB(Context) *context)
{
	PB(AddressHandle) *record;
	struct sealift_rxe_ah ah;
	int ret;

	ret = rxe_dump_ah(fd, handle, &ah);
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__address_handle__init(record);
	ret = image_append(&context->ahs, &context->n_ahs, record);
	if (ret) {
		free(record);
		return ret;
	}
	record->handle = handle;
	record->user_handle = ah.user_handle;
	record->pd = ah.pd_handle;
	record->driver = rxe_new_state(&ah, sizeof(ah), 0);
	record->path = rxe_new_path(&ah.av, RXE_PORT, 0);
	return record->driver && record->path ? 0 : -ENOMEM;
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
		       PB(Context) *context, struct rings *rings)
{
	switch (object->type) {
	case UVERBS_OBJECT_PD:
		return dump_pd(object->handle, context);
	case UVERBS_OBJECT_CQ:
		return dump_cq(fd, object->handle, context, rings);
	case UVERBS_OBJECT_SRQ:
		return dump_srq(fd, object->handle, context, rings);
	case UVERBS_OBJECT_QP:
		return rxe_record_qp(fd, object->handle, context, rings);
	case UVERBS_OBJECT_AH:
		return dump_ah(fd, object->handle, context);
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

/* In the order of restore_numbers(). */
static int dump_numbers(const struct sealift_rxe_context *info, PB(Driver) *driver)
{
	const uint32_t numbers[] = {
		info->next_qpn, info->next_mr, info->next_mw, info->next_ah
	};

	driver->next_numbers = malloc(sizeof(numbers));
	if (!driver->next_numbers)
		return -ENOMEM;
	memcpy(driver->next_numbers, numbers, sizeof(numbers));
	driver->n_next_numbers = sizeof(numbers) / sizeof(numbers[0]);
	return 0;
}

int rxe_dump(int fd, PB(Context) *context, struct rings *rings)
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
		ret = dump_object(fd, &list[i], i, context, rings);
	if (ret && ret != -EOPNOTSUPP && i)
		log_fail("kernel", "object %u of kind %u, handle %u cannot be dumped: %s", i - 1,
			 list[i - 1].type, list[i - 1].handle, strerror(-ret));
	else if (ret && ret != -EOPNOTSUPP)
		log_fail("kernel", "the objects cannot be listed: %s", strerror(-ret));
	free(list);
	/* The context may have closed its first file of events, and have another one. */
	if (!ret && context->async && context->async->index == info.async)
		ret = rxe_record_events(fd, context->async);
	return ret ? ret : dump_numbers(&info, context->driver);
}

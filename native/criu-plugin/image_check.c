// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a decoded context is consistent in itself: every reference leads
 * somewhere, every number is in range, no handle is taken twice. The kernel
 * checks what it is given again; this is so that a bad image is refused before
 * anything was done, and with a name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "image.h"
#include "log.h"

#define PAGE 4096ULL
#define ADDRESS_LIMIT (1ULL << 47)

#define bad(name, format, ...) \
	(log_fail("image-damaged", "%s: " format, name, ##__VA_ARGS__), -EINVAL)

enum { FREE, PD, CQ, SRQ, AH, QP, MR };

struct handles {
	uint8_t kind[IMAGE_MAX_HANDLE];
	const char *name;
};

static int take(struct handles *handles, uint32_t handle, int kind)
{
	if (handle >= IMAGE_MAX_HANDLE || handles->kind[handle] != FREE)
		return bad(handles->name, "handle %u is out of range or taken twice", handle);
	handles->kind[handle] = kind;
	return 0;
}

static int refers(const struct handles *handles, uint32_t handle, int kind)
{
	if (handle >= IMAGE_MAX_HANDLE || handles->kind[handle] != kind)
		return bad(handles->name, "handle %u does not lead where it should", handle);
	return 0;
}

static int check_driver_state(const PB(DriverState) *driver, size_t buffers, const char *name)
{
	if (!driver->state.len || driver->n_buffers != buffers)
		return bad(name, "driver state is incomplete");
	return 0;
}

static int check_cq(const PB(Context) *context, const PB(CompletionQueue) *cq,
		    struct handles *handles)
{
	int ret = take(handles, cq->handle, CQ);

	if (ret || !cq->has_channel)
		return ret ? ret : check_driver_state(cq->driver, 1, handles->name);
	if (image_channel(context, cq->channel) >= 0)
		return check_driver_state(cq->driver, 1, handles->name);
	return bad(handles->name, "completion queue %u has an unknown channel", cq->handle);
}

static int check_srq(const PB(SharedReceiveQueue) *srq, struct handles *handles)
{
	int ret = take(handles, srq->handle, SRQ);

	if (!ret)
		ret = refers(handles, srq->pd, PD);
	return ret ? ret : check_driver_state(srq->driver, 1, handles->name);
}

/* @path may be NULL. */
static bool is_path(const PB(Path) *path)
{
	return !path || (path->sgid.len == 16 && path->dgid.len == 16 &&
			 path->sgid_index <= 255 && path->port == 1);
}

static int check_ah(const PB(AddressHandle) *ah, struct handles *handles)
{
	int ret = take(handles, ah->handle, AH);

	if (!ret)
		ret = refers(handles, ah->pd, PD);
	if (!ret)
		ret = check_driver_state(ah->driver, 0, handles->name);
	if (!ret && !is_path(ah->path))
		return bad(handles->name, "address handle %u has a malformed path", ah->handle);
	return ret;
}

static int check_qp(const PB(QueuePair) *qp, struct handles *handles)
{
	int ret = take(handles, qp->handle, QP);

	if (!ret)
		ret = refers(handles, qp->pd, PD);
	if (!ret)
		ret = refers(handles, qp->send_cq, CQ);
	if (!ret)
		ret = refers(handles, qp->recv_cq, CQ);
	if (!ret && qp->has_srq)
		ret = refers(handles, qp->srq, SRQ);
	if (!ret)
		ret = check_driver_state(qp->driver, 3, handles->name);
	if (ret)
		return ret;
	if (qp->qpn >> 24 || qp->state > 6)
		return bad(handles->name, "queue pair %#x is out of range", qp->qpn);
	if (!is_path(qp->path))
		return bad(handles->name, "queue pair %#x has a malformed path", qp->qpn);
	return 0;
}

uint32_t image_region_owner(const PB(Context) *context, const PB(MemoryRegion) *mr)
{
	return mr->has_pid ? mr->pid : context->owner;
}

bool image_has_open(const PB(Context) *context, uint32_t inner)
{
	for (size_t i = 0; i < context->n_descriptors; i++)
		if (context->descriptors[i]->pid == inner)
			return true;
	return false;
}

bool image_has_mapped(const PB(Context) *context, uint32_t inner)
{
	for (size_t i = 0; i < context->n_mappings; i++)
		if (context->mappings[i]->pid == inner)
			return true;
	return false;
}

static int check_mr(const PB(Context) *context, const PB(MemoryRegion) *mr,
		    struct handles *handles)
{
	int ret = take(handles, mr->handle, MR);

	if (!ret)
		ret = refers(handles, mr->pd, PD);
	if (ret)
		return ret;
	if (mr->length > ADDRESS_LIMIT || mr->start > ADDRESS_LIMIT - mr->length ||
	    mr->start % PAGE != mr->iova % PAGE)
		return bad(handles->name, "memory region %#x is out of range", mr->lkey);
	if (!image_has_open(context, image_region_owner(context, mr)))
		return bad(handles->name, "memory region %#x is of a process without the context",
			   mr->lkey);
	return 0;
}

static int check_mapping(const PB(Mapping) *mapping, const struct handles *handles)
{
	if (mapping->address % PAGE || mapping->length % PAGE || !mapping->length ||
	    mapping->length > IMAGE_MAX_BYTES || mapping->address > ADDRESS_LIMIT ||
	    mapping->protection & ~(uint32_t)(PROT_READ | PROT_WRITE) ||
	    (uint32_t)mapping->ring > SEALIFT__IBVERBS__RING__SRQ)
		return bad(handles->name, "mapping at %#llx is out of range",
			   (unsigned long long)mapping->address);
	switch (mapping->ring) {
	case SEALIFT__IBVERBS__RING__CQ:
		return refers(handles, mapping->handle, CQ);
	case SEALIFT__IBVERBS__RING__SRQ:
		return refers(handles, mapping->handle, SRQ);
	default:
		return refers(handles, mapping->handle, QP);
	}
}

static int check_event(const PB(AsyncEvent) *event, const struct handles *handles)
{
	switch (event->source) {
	case SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_PORT:
		return event->handle == 1 ? 0 : bad(handles->name, "an event is of port %u", event->handle);
	case SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_CQ:
		return refers(handles, event->handle, CQ);
	case SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_SRQ:
		return refers(handles, event->handle, SRQ);
	case SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_QP:
		return refers(handles, event->handle, QP);
	default:
		return bad(handles->name, "an event is of nothing that is known");
	}
}

static int check_all(const PB(Context) *context, struct handles *handles)
{
	int ret = 0;

	for (size_t i = 0; i < context->n_pds && !ret; i++)
		ret = take(handles, context->pds[i]->handle, PD);
	for (size_t i = 0; i < context->n_cqs && !ret; i++)
		ret = check_cq(context, context->cqs[i], handles);
	for (size_t i = 0; i < context->n_srqs && !ret; i++)
		ret = check_srq(context->srqs[i], handles);
	for (size_t i = 0; i < context->n_ahs && !ret; i++)
		ret = check_ah(context->ahs[i], handles);
	for (size_t i = 0; i < context->n_qps && !ret; i++)
		ret = check_qp(context->qps[i], handles);
	for (size_t i = 0; i < context->n_mrs && !ret; i++)
		ret = check_mr(context, context->mrs[i], handles);
	for (size_t i = 0; i < context->n_mappings && !ret; i++)
		ret = check_mapping(context->mappings[i], handles);
	for (size_t i = 0; context->async && i < context->async->n_events && !ret; i++)
		ret = check_event(context->async->events[i], handles);
	return ret;
}

static long higher(long highest, uint32_t handle)
{
	return (long)handle > highest ? (long)handle : highest;
}

long image_max_handle(const PB(Context) *context)
{
	long highest = -1;

	for (size_t i = 0; i < context->n_pds; i++)
		highest = higher(highest, context->pds[i]->handle);
	for (size_t i = 0; i < context->n_cqs; i++)
		highest = higher(highest, context->cqs[i]->handle);
	for (size_t i = 0; i < context->n_srqs; i++)
		highest = higher(highest, context->srqs[i]->handle);
	for (size_t i = 0; i < context->n_ahs; i++)
		highest = higher(highest, context->ahs[i]->handle);
	for (size_t i = 0; i < context->n_qps; i++)
		highest = higher(highest, context->qps[i]->handle);
	for (size_t i = 0; i < context->n_mrs; i++)
		highest = higher(highest, context->mrs[i]->handle);
	return highest;
}

int image_check_context(const PB(Context) *context, const char *name)
{
	struct handles *handles;
	int ret;

	if (strncmp(context->node_path, "/dev/", 5) || strstr(context->node_path, "/../"))
		return bad(name, "%.64s is no device node", context->node_path);
	if (!context->n_descriptors || context->max_fd > IMAGE_MAX_FD)
		return bad(name, "no process has the context open");
	for (size_t i = 0; i < context->n_descriptors; i++)
		if (context->descriptors[i]->fd > context->max_fd)
			return bad(name, "descriptor %u is out of range", context->descriptors[i]->fd);
	if (context->n_channels > 4096)
		return bad(name, "too many completion channels");
	for (size_t i = 1; i < context->n_channels; i++)
		if (context->channels[i - 1]->index >= context->channels[i]->index)
			return bad(name, "completion channel %u is there twice or out of order",
				   context->channels[i]->index);
	if (context->has_free_fd && context->free_fd > context->max_fd)
		return bad(name, "the free descriptor %u is out of range", context->free_fd);
	if (context->async && context->async->n_events > IMAGE_MAX_OBJECTS)
		return bad(name, "too many unread events");

	handles = calloc(1, sizeof(*handles));
	if (!handles)
		return -ENOMEM;
	handles->name = name;
	ret = check_all(context, handles);
	free(handles);
	return ret;
}

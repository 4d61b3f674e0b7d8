// SPDX-License-Identifier: GPL-2.0
/*
 * An application may read its asynchronous events late, or never: perftest, UCX
 * and the examples of libibverbs never do. So none of them may forbid a move,
 * but those that no target could make true: the device has failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/ib_user_ioctl_cmds.h>

#include "driver_rxe_events.h"
#include "driver_rxe_methods.h"
#include "log.h"

#define DUMP_TRIES	8

int rxe_add_event(PB(EventFile) *file, const struct sealift_rxe_event *event)
{
	PB(EventSource) source = SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_PORT;
	PB(AsyncEvent) *record;
	int ret;

	switch (event->object) {
	case UVERBS_OBJECT_CQ:
		source = SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_CQ;
		break;
	case UVERBS_OBJECT_SRQ:
		source = SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_SRQ;
		break;
	case UVERBS_OBJECT_QP:
		source = SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_QP;
		break;
	case SEALIFT_RXE_NONE:
		if (event->handle)
			break;
		log_fail("unsupported",
			 "the device has failed (unread event of type %u, IBV_EVENT_DEVICE_FATAL is 8); let the process open it again",
			 event->type);
		return -EOPNOTSUPP;
	default:
		log_fail("unsupported",
			 "an unread event (type %u) is of an object of kind %u, handle %u; destroy it first",
			 event->type, event->object, event->handle);
		return -EOPNOTSUPP;
	}

	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__async_event__init(record);
	record->type = event->type;
	record->source = source;
	record->handle = event->handle;
	ret = image_append(&file->events, &file->n_events, record);
	if (ret)
		free(record);
	return ret;
}

void rxe_to_event(const PB(AsyncEvent) *record, struct sealift_rxe_event *event)
{
	static const uint32_t objects[] = {
		[SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_PORT] = SEALIFT_RXE_NONE,
		[SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_CQ] = UVERBS_OBJECT_CQ,
		[SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_SRQ] = UVERBS_OBJECT_SRQ,
		[SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_QP] = UVERBS_OBJECT_QP,
	};

	*event = (struct sealift_rxe_event){
		.type = record->type,
		.object = objects[record->source],
		.handle = record->handle,
	};
}

/* Into *@list, for free(). The port may have events while they are read. */
static int dump(int fd, struct sealift_rxe_event **list, struct sealift_rxe_events *events)
{
	int ret = -ENOSPC;

	for (int i = 0; i < DUMP_TRIES && ret == -ENOSPC; i++) {
		uint32_t room;

		free(*list);
		*list = NULL;
		ret = rxe_dump_events(fd, NULL, 0, events);
		room = events->count;
		if (ret || !room)
			return ret;
		*list = calloc(room, sizeof(**list));
		ret = *list ? rxe_dump_events(fd, *list, room, events) : -ENOMEM;
	}
	return ret;
}

int rxe_record_events(int fd, PB(EventFile) *file)
{
	struct sealift_rxe_event *list = NULL;
	struct sealift_rxe_events events = {};
	int ret = dump(fd, &list, &events);

	if (ret == -E2BIG) {
		log_fail("unsupported",
			 "a verbs context has more than %u unread asynchronous events; read them first (ibv_get_async_event())",
			 SEALIFT_RXE_MAX_ASYNC_EVENTS);
		ret = -EOPNOTSUPP;
	} else if (ret) {
		log_fail("kernel", "unread asynchronous events cannot be dumped: %s",
			 strerror(-ret));
	}
	for (uint32_t i = 0; i < events.count && !ret; i++)
		ret = rxe_add_event(file, &list[i]);
	if (!ret && events.count)
		log_info("dumped %u unread asynchronous events", events.count);
	file->has_port_state = !ret;
	file->port_state = events.port_state;
	free(list);
	return ret;
}

int rxe_restore_file_events(int fd, const PB(EventFile) *file)
{
	struct sealift_rxe_events events = {
		.count = file->n_events,
		.port_state = file->port_state,
	};
	struct sealift_rxe_event *list = calloc(file->n_events + 1, sizeof(*list));
	int ret;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < file->n_events; i++)
		rxe_to_event(file->events[i], &list[i]);
	ret = rxe_restore_events(fd, &events, list);
	free(list);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The driver raises the events of queues and queue pairs again: of each object
 * each kind once, in the order in which the objects are created. So what was
 * repeated, or whose order matters, must not be moved. Nothing raises events of
 * the device and its port, but the target's agent makes the port active under
 * the restored contexts (node-agent, unread-events.ts). So whoever has not read
 * that the port went down or up still learns its state; an application that
 * never reads them has some, so they cannot forbid a move. All others can.
 */
#include <errno.h>

#include "dump_events.h"
#include "log.h"

/* enum ibv_event_type */
#define DEVICE_FATAL		8
#define PORT_ACTIVE		9
#define PORT_ERR		10
#define LID_CHANGE		11
#define PKEY_CHANGE		12
#define SM_CHANGE		13
#define CLIENT_REREGISTER	17
#define GID_CHANGE		18

#define RAISED_AGAIN		(1U << PORT_ACTIVE | 1U << PORT_ERR)

static const char *event_name(unsigned int type)
{
	switch (type) {
	case LID_CHANGE:	return "IBV_EVENT_LID_CHANGE";
	case PKEY_CHANGE:	return "IBV_EVENT_PKEY_CHANGE";
	case SM_CHANGE:		return "IBV_EVENT_SM_CHANGE";
	case CLIENT_REREGISTER:	return "IBV_EVENT_CLIENT_REREGISTER";
	case GID_CHANGE:	return "IBV_EVENT_GID_CHANGE";
	default:		return "an unknown event";
	}
}

int dump_events_check(const struct async_events *events, uint32_t unread)
{
	uint32_t port_kinds = __builtin_popcount(events->device);
	uint32_t lost = events->device & ~RAISED_AGAIN;

	if (events->device & 1U << DEVICE_FATAL) {
		log_fail("unsupported",
			 "the device has failed (IBV_EVENT_DEVICE_FATAL is unread); let the process open it again");
		return -EOPNOTSUPP;
	}
	if (lost) {
		unsigned int type = __builtin_ctz(lost);

		log_fail("unsupported",
			 "a verbs context has an unread event of the device that would be lost (%s, type %u); read it first (ibv_get_async_event())",
			 event_name(type), type);
		return -EOPNOTSUPP;
	}
	/* Beside events of objects, one too many may be one of the port or of an object. */
	if (events->objects > 1 || (events->objects && unread != events->objects + port_kinds)) {
		log_fail("unsupported",
			 "a verbs context has %u unread asynchronous events, of which those of queues would not all come back, or not in their order; read them first (ibv_get_async_event())",
			 unread);
		return -EOPNOTSUPP;
	}
	if (events->device)
		log_warn("%u unread events of the port come back as one IBV_EVENT_PORT_ACTIVE",
			 unread - events->objects);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The driver raises the events of queues and queue pairs again: of each object
 * each kind once, in the order in which the objects are created. So what was
 * repeated, or whose order matters, must not be moved. Events of the port only
 * say that its state may have changed, which is as true after a move; an
 * application that never reads them has some, so they cannot forbid one.
 */
#include <errno.h>

#include "dump_events.h"
#include "log.h"

/* enum ibv_event_type */
#define DEVICE_FATAL 8

int dump_events_check(const struct async_events *events, uint32_t unread)
{
	uint32_t port_kinds = __builtin_popcount(events->device);

	if (events->device & 1U << DEVICE_FATAL) {
		log_fail("unsupported",
			 "the device has failed (IBV_EVENT_DEVICE_FATAL is unread); let the process open it again");
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
		log_warn("%u unread events of the port are not moved", unread - events->objects);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/* Which unread asynchronous events a dump may leave to the restore. */
#include <errno.h>
#include <string.h>

#include "dump_events.h"
#include "unit.h"

#define DEVICE_FATAL (1U << 8)
#define PORT_ACTIVE (1U << 9)
#define PORT_ERR (1U << 10)
#define CLIENT_REREGISTER (1U << 17)
#define GID_CHANGE (1U << 18)

static int look(uint32_t objects, uint32_t device, uint32_t unread)
{
	struct async_events events = { .objects = objects, .device = device };

	unit_clear_log();
	return dump_events_check(&events, unread);
}

void unit_events(void)
{
	CHECK(!look(0, 0, 0));
	CHECK(!look(1, 0, 1));
	/* Of a queue: the same again, or another one before or after it. */
	CHECK(look(1, 0, 2) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: a verbs context has 2 unread"));
	CHECK(look(2, 0, 2) == -EOPNOTSUPP);
	/* Of the port alone, as often as you like: the target's is active. */
	CHECK(!look(0, PORT_ACTIVE | PORT_ERR, 7));
	CHECK(strstr(unit_log(), "7 unread events of the port come back as one IBV_EVENT_PORT_ACTIVE"));
	CHECK(!look(1, PORT_ACTIVE, 2));
	CHECK(look(1, PORT_ACTIVE, 3) == -EOPNOTSUPP);
	CHECK(look(0, DEVICE_FATAL, 1) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "IBV_EVENT_DEVICE_FATAL"));
	/* What nothing raises again is not lost without a word. */
	CHECK(look(0, PORT_ACTIVE | GID_CHANGE, 2) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "IBV_EVENT_GID_CHANGE, type 18"));
	CHECK(look(0, CLIENT_REREGISTER, 1) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "IBV_EVENT_CLIENT_REREGISTER"));
	CHECK(look(0, 1U << 31, 1) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "an unknown event, type 31"));
}

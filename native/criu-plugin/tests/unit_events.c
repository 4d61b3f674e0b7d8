// SPDX-License-Identifier: GPL-2.0
/* Unread asynchronous events, from the driver's list into the image and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/ib_user_ioctl_cmds.h>

#include "driver_rxe_events.h"
#include "sample.h"
#include "unit.h"

#define CQ_ERR 0
#define COMM_EST 4
#define SQ_DRAINED 5
#define DEVICE_FATAL 8
#define PORT_ACTIVE 9
#define PORT_ERR 10
#define SRQ_LIMIT_REACHED 15
#define GID_CHANGE 18

static void keep_their_order(void)
{
	static const struct sealift_rxe_event list[] = {
		{ GID_CHANGE, SEALIFT_RXE_NONE, 1, 0 },
		{ SQ_DRAINED, UVERBS_OBJECT_QP, 2, 0 },
		{ PORT_ERR, SEALIFT_RXE_NONE, 1, 0 },
		{ SQ_DRAINED, UVERBS_OBJECT_QP, 2, 0 },
		{ CQ_ERR, UVERBS_OBJECT_CQ, 1, 0 },
		{ PORT_ACTIVE, SEALIFT_RXE_NONE, 1, 0 },
		{ PORT_ACTIVE, SEALIFT_RXE_NONE, 1, 0 },
		{ SRQ_LIMIT_REACHED, UVERBS_OBJECT_SRQ, 4, 0 },
	};
	const size_t count = sizeof(list) / sizeof(list[0]);
	PB(EventFile) *file = calloc(1, sizeof(*file)), *read;
	struct sealift_rxe_event event;
	uint8_t bytes[512];
	size_t size;

	sealift__ibverbs__event_file__init(file);
	for (size_t i = 0; i < count; i++)
		CHECK(!rxe_add_event(file, &list[i]));
	size = sealift__ibverbs__event_file__get_packed_size(file);
	CHECK(size <= sizeof(bytes));
	CHECK(sealift__ibverbs__event_file__pack(file, bytes) == size);
	read = sealift__ibverbs__event_file__unpack(NULL, size, bytes);
	CHECK(read && read->n_events == count);
	for (size_t i = 0; i < count; i++) {
		rxe_to_event(read->events[i], &event);
		CHECK(!memcmp(&event, &list[i], sizeof(event)));
	}
	sealift__ibverbs__event_file__free_unpacked(read, NULL);
	sealift__ibverbs__event_file__free_unpacked(file, NULL);
}

static int refuse(struct sealift_rxe_event event)
{
	PB(EventFile) file;
	int ret;

	sealift__ibverbs__event_file__init(&file);
	unit_clear_log();
	ret = rxe_add_event(&file, &event);
	CHECK(!file.n_events);
	return ret;
}

static void refused(void)
{
	CHECK(refuse((struct sealift_rxe_event){ DEVICE_FATAL, SEALIFT_RXE_NONE, 0, 0 }) ==
	      -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: the device has failed"));
	CHECK(refuse((struct sealift_rxe_event){ 19, UVERBS_OBJECT_WQ, 3, 0 }) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "an object of kind 12, handle 3"));
}

/* An event of an object leads to one, and to one of its kind. */
static void checked_in_an_image(void)
{
	PB(AsyncEvent) event, *events[] = { &event };
	struct sample s;
	PB(Context) *c = sample_fill(&s);

#define EVENT(of, number) (event.source = SEALIFT__IBVERBS__EVENT_SOURCE__EVENT_##of, \
			   event.handle = (number), image_check_context(c, "x"))
	sealift__ibverbs__async_event__init(&event);
	event.type = COMM_EST;
	c->async->events = events;
	c->async->n_events = 1;
	CHECK(!EVENT(PORT, 1));
	CHECK(!EVENT(CQ, s.cq.handle));
	CHECK(!EVENT(SRQ, s.srq.handle));
	CHECK(!EVENT(QP, s.qp.handle));
	unit_clear_log();
	CHECK(EVENT(QP, s.cq.handle) == -EINVAL);
	CHECK(EVENT(CQ, s.mr.handle) == -EINVAL);
	CHECK(EVENT(SRQ, UINT32_MAX) == -EINVAL);
	CHECK(EVENT(PORT, 0) == -EINVAL);
	event.source = 77;
	CHECK(image_check_context(c, "x") == -EINVAL);
	CHECK(strstr(unit_log(), "an event is of nothing that is known"));
	EVENT(PORT, 1);
	c->async->n_events = IMAGE_MAX_OBJECTS + 1;
	CHECK(image_check_context(c, "x") == -EINVAL);
#undef EVENT
}

void unit_events(void)
{
	keep_their_order();
	refused();
	checked_in_an_image();
}

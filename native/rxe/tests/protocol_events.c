// SPDX-License-Identifier: GPL-2.0
/* The asynchronous events that nobody has read: all of them, in their order. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "shared.h"

#define PORT_DOWN	1
#define PORT_ACTIVE	4
#define MOST		SEALIFT_RXE_MAX_ASYNC_EVENTS
/* an interface and a device of this test's own */
#define NETDEV		"sl_event"
#define DEVICE		"sl_rxe_event"

static const struct sealift_rxe_event gid_change = {
	IBV_EVENT_GID_CHANGE, SEALIFT_RXE_NONE, 1, 0
};

static struct sealift_rxe_event of_qp(const struct scripted *s, uint32_t type)
{
	return (struct sealift_rxe_event){
		type, UVERBS_OBJECT_QP, s->end.qp->handle, 0
	};
}

static struct sealift_rxe_event of_srq(const struct scripted *s)
{
	return (struct sealift_rxe_event){
		IBV_EVENT_SRQ_LIMIT_REACHED, UVERBS_OBJECT_SRQ,
		s->end.srq->handle, 0
	};
}

static int restore(const struct scripted *s, uint32_t count,
		   const struct sealift_rxe_event *list)
{
	struct sealift_rxe_events in = { count, PORT_ACTIVE };

	return sl_restore_events(s->fd, &in, list);
}

static uint32_t count_of(const struct scripted *s)
{
	struct sealift_rxe_events out;

	if (sl_dump_events(s->fd, NULL, 0, &out))
		errx(1, "DUMP_EVENTS");
	return out.count;
}

static void limit_reached(struct scripted *s, uint32_t nth)
{
	struct ibv_srq_attr limit = { .srq_limit = 2 };

	shared_post_some(s, nth, nth + 1);
	if (ibv_modify_srq(s->end.srq, &limit, IBV_SRQ_LIMIT))
		err(1, "ibv_modify_srq");
	shared_send(s, s->end.qp, WIRE_SEND_ONLY, nth, 10);
	shared_completes(s, s->end.qp, nth, IBV_WC_SUCCESS, "a limit is reached");
}

static void to_error(struct scripted *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "ERR");
	usleep(100000);
}

/* What an application reads: the types, and of which of its objects they are. */
static void expect_read(struct scripted *s, const struct sealift_rxe_event *list,
			uint32_t count)
{
	struct ibv_async_event ev;
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (ibv_get_async_event(s->end.ctx, &ev)) {
			expect(0, 1, "event %u of %u is there", i, count);
			return;
		}
		expect(list[i].type, ev.event_type, "event %u of %u", i, count);
		switch (list[i].object) {
		case UVERBS_OBJECT_QP:
			expect(1, ev.element.qp == s->end.qp, "its queue pair");
			break;
		case UVERBS_OBJECT_SRQ:
			expect(1, ev.element.srq == s->end.srq, "its queue");
			break;
		default:
			expect(1, ev.element.port_num, "its port");
		}
		ibv_ack_async_event(&ev);
	}
	expect(-1, scripted_event(s, 50), "and no other");
}

/* The same kind twice, of two objects, between others of the port. */
static void in_order(void)
{
	struct sealift_rxe_event list[8], again[8];
	struct sealift_rxe_events events;
	struct scripted s, other;

	shared_open(&s);
	shared_open(&other);
	limit_reached(&s, 0);
	expect(0, restore(&s, 1, &gid_change), "an event of the port, before it");
	limit_reached(&s, 1);
	limit_reached(&s, 2);
	to_error(&s);
	expect(0, sl_dump_events(s.fd, list, ARRAY_SIZE(list), &events),
	       "DUMP_EVENTS");
	expect(5, events.count, "all of them");
	expect(PORT_ACTIVE, events.port_state, "the port is active");
	expect(IBV_EVENT_GID_CHANGE, list[0].type, "event 0");
	expect(IBV_EVENT_SRQ_LIMIT_REACHED, list[1].type, "event 1");
	expect(IBV_EVENT_SRQ_LIMIT_REACHED, list[2].type, "event 2");
	expect(IBV_EVENT_SRQ_LIMIT_REACHED, list[3].type, "event 3");
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, list[4].type, "event 4");
	expect(-ENOSPC, sl_dump_events(s.fd, again, 4, &events),
	       "a buffer that is too small");
	expect(5, events.count, "and how large it must be");

	/* objects that are created in the same order have the same handles */
	expect(0, sl_restore_events(other.fd, &events, list), "RESTORE_EVENTS");
	expect(0, sl_dump_events(other.fd, again, ARRAY_SIZE(again), &events),
	       "DUMP_EVENTS of the other context");
	expect(0, memcmp(list, again, 5 * sizeof(*list)), "the same list");
	expect_read(&other, list, 5);
	expect_read(&s, list, 5);
	/* each waits for as many acknowledged events as the kernel has counted */
	endpoint_close(&s.end);
	endpoint_close(&other.end);
}

/* They move again and again, and none is read. */
static void moved_unread(void)
{
	struct sealift_rxe_event list[8];
	struct sealift_rxe_events events;
	struct scripted s;
	int i;

	shared_open(&s);
	for (i = 0; i < 3; i++)
		limit_reached(&s, i);
	for (i = 0; i < 3; i++) {
		shared_move(&s);
		expect(3, count_of(&s), "events after move %d", i);
	}
	limit_reached(&s, 3);
	expect(0, sl_dump_events(s.fd, list, ARRAY_SIZE(list), &events),
	       "DUMP_EVENTS");
	expect_read(&s, list, 4);
	endpoint_close(&s.end);
}

/* What happens during a restore is the newest. */
static void before_those_there(void)
{
	struct sealift_rxe_event list[3];
	struct scripted s;

	shared_open(&s);
	list[0] = of_qp(&s, IBV_EVENT_SQ_DRAINED);
	list[1] = gid_change;
	list[2] = of_srq(&s);
	expect(0, restore(&s, 1, &list[2]), "one event");
	expect(0, restore(&s, 2, list), "two before it");
	expect_read(&s, list, 3);
	expect(0, restore(&s, 3, list), "three that nobody will read");
	/* they go with their objects and with the context */
	endpoint_close(&s.end);
}

static void state_of_the_port(void)
{
	struct sealift_rxe_event list[4];
	struct sealift_rxe_events in = { 1, PORT_DOWN }, out;
	struct scripted s;

	scripted_open_end(&s, IBV_QPT_RC);
	list[0] = of_qp(&s, IBV_EVENT_COMM_EST);
	expect(0, sl_restore_events(s.fd, &in, list), "the port was down");
	list[1] = (struct sealift_rxe_event){
		IBV_EVENT_PORT_ACTIVE, SEALIFT_RXE_NONE, 1, 0
	};
	expect_read(&s, list, 2);
	in.count = 0;
	expect(0, sl_restore_events(s.fd, &in, NULL), "that alone");
	expect_read(&s, &list[1], 1);

	/* it has been told that the port is down, or will be */
	list[0] = gid_change;
	list[1].type = IBV_EVENT_PORT_ERR;
	list[2] = of_qp(&s, IBV_EVENT_SQ_DRAINED);
	expect(0, restore(&s, 3, list), "an unread event says down");
	expect(0, sl_dump_events(s.fd, NULL, 0, &out), "DUMP_EVENTS");
	expect(PORT_DOWN, out.port_state, "the last event that tells counts");
	expect_read(&s, list, 3);
	expect(0, sl_dump_events(s.fd, NULL, 0, &out), "DUMP_EVENTS");
	expect(PORT_ACTIVE, out.port_state, "without one the port does");
	endpoint_close(&s.end);
}

#define BAD(error, what, ...) do {					\
	struct sealift_rxe_event bad = __VA_ARGS__;			\
	list[1] = bad;							\
	expect(error, restore(&s, 2, list), what);			\
} while (0)

static void refused(void)
{
	struct sealift_rxe_events in = { 1, 0 };
	struct sealift_rxe_buffer buf;
	struct sealift_rxe_event list[2];
	uint32_t qp, cq, pd;
	struct scripted s;
	int status;
	pid_t pid;

	scripted_open_end(&s, IBV_QPT_RC);
	qp = s.end.qp->handle;
	cq = s.end.cq->handle;
	pd = s.end.pd->handle;
	list[0] = of_qp(&s, IBV_EVENT_COMM_EST);
	BAD(-EINVAL, "of a CQ, what a QP has", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_CQ, cq, 0 });
	BAD(-EINVAL, "of a QP, what a CQ has", { IBV_EVENT_CQ_ERR, UVERBS_OBJECT_QP, qp, 0 });
	BAD(-EINVAL, "of a QP, what a port has", { IBV_EVENT_GID_CHANGE, UVERBS_OBJECT_QP, qp, 0 });
	BAD(-EINVAL, "a type beyond 31", { 32 + IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, qp, 0 });
	BAD(-EINVAL, "a reserved field", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, qp, 1 });
	BAD(-EINVAL, "a CQ's handle", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, cq, 0 });
	BAD(-EINVAL, "a PD's handle", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, pd, 0 });
	BAD(-EINVAL, "of a PD", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_PD, pd, 0 });
	BAD(-EINVAL, "of a work queue", { IBV_EVENT_WQ_FATAL, UVERBS_OBJECT_WQ, qp, 0 });
	BAD(-ENOENT, "no such handle", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, 4000, 0 });
	BAD(-ENOENT, "no handle", { IBV_EVENT_COMM_EST, UVERBS_OBJECT_QP, -1, 0 });
	BAD(-EINVAL, "port 2", { IBV_EVENT_GID_CHANGE, SEALIFT_RXE_NONE, 2, 0 });
	BAD(-EINVAL, "the device", { IBV_EVENT_DEVICE_FATAL, SEALIFT_RXE_NONE, 0, 0 });
	BAD(-EINVAL, "a failed port", { IBV_EVENT_DEVICE_FATAL, SEALIFT_RXE_NONE, 1, 0 });

	expect(-EINVAL, sl_restore_events(s.fd, &in, list), "no state of the port");
	in.port_state = 5;
	expect(-EINVAL, sl_restore_events(s.fd, &in, list), "another state");
	in.port_state = PORT_ACTIVE;
	buf = sl_buffer(list, sizeof(list[0]) - 1);
	expect(-EINVAL, sl_restore_events_from(s.fd, &in, &buf), "less than it says");
	buf = sl_buffer(list, sizeof(list));
	expect(-EINVAL, sl_restore_events_from(s.fd, &in, &buf), "more than it says");
	buf = sl_buffer((void *)16, sizeof(list[0]));
	expect(-EFAULT, sl_restore_events_from(s.fd, &in, &buf), "a bad address");
	expect(0, count_of(&s), "none of them was restored");
	in.count = MOST + 1;
	expect(-E2BIG, sl_restore_events_from(s.fd, &in, &buf), "too many");

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(2);
		_exit(sl_dump_events(s.fd, NULL, 0, &in) != -EPERM ||
		      restore(&s, 1, list) != -EPERM);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	expect(0, status, "anyone else may not");
	/* of a queue pair that is gone */
	if (ibv_destroy_qp(s.end.qp))
		err(1, "ibv_destroy_qp");
	expect(-ENOENT, restore(&s, 1, list), "a queue pair that is gone");
}

static void as_many_as_you_like(void)
{
	struct sealift_rxe_event *list, *again;
	struct sealift_rxe_events out;
	struct scripted s;
	uint32_t i;

	scripted_open_end(&s, IBV_QPT_RC);
	list = calloc(MOST, sizeof(*list));
	again = calloc(MOST, sizeof(*again));
	if (!list || !again)
		err(1, "calloc");
	for (i = 0; i < MOST; i++)
		list[i] = i % 3 ? of_qp(&s, IBV_EVENT_SQ_DRAINED) : gid_change;
	expect(0, restore(&s, MOST, list), "%u events", MOST);
	expect(0, sl_dump_events(s.fd, again, MOST, &out), "and dumped");
	expect(MOST, out.count, "their number");
	expect(0, memcmp(list, again, MOST * sizeof(*list)), "their order");
	expect(0, restore(&s, 1, list), "one more, as for the port's state");
	expect(-E2BIG, restore(&s, 1, list), "and that was the last");
	expect(-E2BIG, sl_dump_events(s.fd, again, MOST, &out), "too many for a dump");
	expect(IBV_EVENT_GID_CHANGE, scripted_event(&s, 100), "one is read");
	expect(0, sl_dump_events(s.fd, again, MOST, &out), "then it can be dumped");
	free(list);
	free(again);
	endpoint_close(&s.end);
}

static void ip(const char *command)
{
	if (system(command))
		errx(1, "%s", command);
}

static int event_of_port(struct ibv_context *ctx)
{
	struct scripted s = { .end.ctx = ctx };
	int type;

	/* of addresses there may be some */
	do
		type = scripted_event(&s, 500);
	while (type == IBV_EVENT_GID_CHANGE);
	return type;
}

/* Sealift itself writes an alias, and a macvlan's mode. */
static void port_changes(void)
{
	struct ibv_context *ctx;

	ip("ip link add " NETDEV " type dummy && ip link set " NETDEV " up && rdma link add " DEVICE " type rxe netdev " NETDEV);
	usleep(500000);
	ctx = endpoint_open_device(DEVICE);
	ip("ip link set " NETDEV " alias one && ip link set " NETDEV " alias two");
	expect(-1, event_of_port(ctx), "an alias is no event");
	ip("ip link set " NETDEV " down");
	expect(IBV_EVENT_PORT_ERR, event_of_port(ctx), "the port goes down");
	ip("ip link set " NETDEV " alias three");
	expect(-1, event_of_port(ctx), "nor is an alias while it is down");
	ip("ip link set " NETDEV " up");
	expect(IBV_EVENT_PORT_ACTIVE, event_of_port(ctx), "the port comes up");
	expect(-1, event_of_port(ctx), "once");
	ibv_close_device(ctx);
	ip("rdma link delete " DEVICE " && ip link delete " NETDEV);
}

const struct protocol_case protocol_events_cases[] = {
	{ "unread events in order", in_order },
	{ "unread events moved again and again", moved_unread },
	{ "unread events before others", before_those_there },
	{ "unread events and the port", state_of_the_port },
	{ "unread events refused", refused },
	{ "unread events, as many as you like", as_many_as_you_like },
	{ "unread events: port changes", port_changes },
	{ 0 },
};

// SPDX-License-Identifier: GPL-2.0
/* Changes of a queue pair's state, around a hold and a restore. */
#include <err.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

#define LONG_READ	(1U << 30)
#define LONG_PIECE	(1U << 22)

/* enum ibv_event_type, all that concern a queue pair */
#define EVENTS	(1 << IBV_EVENT_QP_FATAL | 1 << IBV_EVENT_QP_REQ_ERR |	\
		 1 << IBV_EVENT_QP_ACCESS_ERR | 1 << IBV_EVENT_COMM_EST | \
		 1 << IBV_EVENT_SQ_DRAINED | 1 << IBV_EVENT_PATH_MIG |	\
		 1 << IBV_EVENT_PATH_MIG_ERR |				\
		 1 << IBV_EVENT_QP_LAST_WQE_REACHED)

/* In the middle of a long READ response the queue pair fails, or is reset. */
static void ends_in_read(enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	struct wire_packet p;
	struct scripted s;

	scripted_open(&s);
	p = scripted_request(&s, WIRE_READ, 0);
	p.length = SCRIPTED_BYTES;
	wire_send(&s.wire, &p);
	/* the region goes while the response is under way, or just after */
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE))
		err(1, "modify");
	expect(0, sl_hold(s.fd, SCRIPTED_TIMER, 1000),
	       "a hold settles, state %d", state);
	scripted_resume(&s);
}

static void error_in_read(void)
{
	int i;

	for (i = 0; i < 10; i++)
		ends_in_read(i % 2 ? IBV_QPS_ERR : IBV_QPS_RESET);
}

/* A region of LONG_READ bytes, of the same few pages again and again. */
static struct ibv_mr *long_region(struct ibv_pd *pd)
{
	int fd = memfd_create("long", MFD_CLOEXEC);
	struct ibv_mr *mr;
	size_t at;
	char *mem;

	mem = mmap(NULL, LONG_READ, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || ftruncate(fd, LONG_PIECE) || mem == MAP_FAILED)
		err(1, "memory");
	for (at = 0; at < LONG_READ; at += LONG_PIECE)
		if (mmap(mem + at, LONG_PIECE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			err(1, "mmap");
	mr = ibv_reg_mr(pd, mem, LONG_READ, IBV_ACCESS_REMOTE_READ);
	if (!mr)
		err(1, "ibv_reg_mr");
	return mr;
}

/*
 * A response that takes longer than a hold may: the hold settles, and the peer
 * gets the rest when it asks again, as it would after a loss.
 */
static void long_read(void)
{
	const uint32_t packets = LONG_READ / WIRE_MTU, nth = packets / 2;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	struct wire_packet p;
	struct scripted s;
	struct ibv_mr *mr;
	double start;

	scripted_open(&s);
	mr = long_region(s.end.pd);
	p = scripted_request(&s, WIRE_READ, 0);
	p.va = (uintptr_t)mr->addr;
	p.rkey = mr->rkey;
	p.length = LONG_READ;
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_FIRST, 100),
	       "a long READ is answered");
	start = now_ms();
	expect(0, sl_hold(s.fd, SCRIPTED_TIMER, 1000), "a hold settles");
	expect(1, now_ms() - start < 3000, "in time");
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect((SCRIPTED_RQ_PSN + packets) & 0xffffff, qp.resp.psn,
	       "the next request is the one after the READ");

	wire_drain(&s.wire);
	p = scripted_request(&s, WIRE_READ, nth);
	p.va = (uintptr_t)mr->addr + (uint64_t)nth * WIRE_MTU;
	p.rkey = mr->rkey;
	p.length = 2 * WIRE_MTU;
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_LAST, 500),
	       "a part of it is asked for again");
	scripted_resume(&s);
	p = scripted_request(&s, WIRE_READ, packets);
	p.length = 64;
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_ONLY, 500),
	       "and the next request is answered");
}

/* Take the image of a queue pair that was connected once, and is in RESET. */
static void take_in_reset(struct scripted *s, struct victim *v)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	scripted_open(s);
	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "RESET");
	scripted_hold(s);
	victim_take(v, s->fd, s->end.qp->handle);
}

/* It moves twice. */
static void restored_twice_in_reset(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	take_in_reset(&s, &v);
	expect(0, victim_restore(&v, &handle), "restored");
	victim_take(&v, s.fd, handle);
	expect(0, victim_restore(&v, &handle), "restored again");
}

/* The application would see the image's events twice. */
static void events_restored_once(void)
{
	struct sealift_rxe_qp_buffers b;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	struct sealift_rxe_event unread[32] = { 0 };
	struct sealift_rxe_events in = { .port_state = 4 };
	int events = 0, type;

	scripted_open_end(&s, IBV_QPT_RC);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.async_pending = EVENTS;
	b = victim_buffers(&v);
	/* as many have been read as make the count wrap to that of a new one */
	v.qp.async_reported = -__builtin_popcount(EVENTS);
	expect(0, victim_restore(&v, &handle), "an image with events");
	expect(-1, scripted_event(&s, 300), "they are not the restore's to bring back");
	for (type = 0; type < 32; type++)
		if (EVENTS & 1U << type)
			unread[in.count++] = (struct sealift_rxe_event){
				type, UVERBS_OBJECT_QP, handle, 0
			};
	expect(0, sl_restore_events(s.fd, &in, unread), "RESTORE_EVENTS");
	expect(-EINVAL, sl_restore_qp(s.fd, handle, &v.qp, &b),
	       "the same again, before they are read");
	while (scripted_event(&s, 300) >= 0)
		events++;
	expect(__builtin_popcount(EVENTS), events, "events");
	expect(-EINVAL, sl_restore_qp(s.fd, handle, &v.qp, &b),
	       "and after they were read");
}

/* An image in which the queue pair never left RESET can be restored as failed. */
static void reset_in_error(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	take_in_reset(&s, &v);
	v.qp.flags = SEALIFT_RXE_QP_ERROR;
	expect(0, victim_restore(&v, &handle),
	       "a queue pair in RESET is restored with the error flag");
}

/* The verbs core has no alternate paths over Ethernet: none can be lost. */
static void alternate_path(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.alt_port_num = 1,
		.alt_ah_attr = { .is_global = 1, .port_num = 1 },
	};
	struct scripted s;

	scripted_open(&s);
	attr.alt_ah_attr.grh.dgid = s.end.gid;
	expect(1, ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE |
				IBV_QP_ALT_PATH) != 0,
	       "an alternate path is refused");
}

const struct protocol_case protocol_state_cases[] = {
	{ "error in a READ", error_in_read },
	{ "long READ in a hold", long_read },
	{ "restored twice in RESET", restored_twice_in_reset },
	{ "events restored once", events_restored_once },
	{ "RESET in error", reset_in_error },
	{ "alternate path", alternate_path },
	{ 0 },
};

// SPDX-License-Identifier: GPL-2.0
/* Calls and images of address handles and UD queue pairs that make no sense. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "datagram.h"
#include "expect.h"
#include "malformed.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define BYTES	4096
#define PROCESSING 1	/* states of a request in the ring (rxe_verbs.h) */
#define PENDING	2

struct ud {
	struct endpoint end;
	struct ibv_ah *ah;
	int fd;
	unsigned char memory[4 * BYTES];
};

/* A UD queue pair that talks to itself, held. */
static void open_ud(struct ud *u, const char *device)
{
	static const struct ibv_qp_cap cap = { 16, 16, 2, 2, 64 };

	endpoint_open(&u->end, device, IBV_QPT_UD, &cap, u->memory,
		      sizeof(u->memory), u);
	u->fd = u->end.ctx->cmd_fd;
	datagram_ready(&u->end);
	u->ah = datagram_handle(&u->end, &u->end.gid);
	if (sl_hold(u->fd, TIMER, 5000))
		errx(1, "HOLD");
}

/* Requests of both kinds. */
static void post(struct ud *u)
{
	struct datagram d;
	int i;

	for (i = 0; i < 3; i++) {
		datagram_receive(&u->end, u->memory, BYTES, i);
		d = (struct datagram){
			.ah = u->ah,
			.qpn = u->end.qp->qp_num,
			.data = u->memory + BYTES,
			.size = i == 1 ? 20 : 500,
			.flags = i == 1 ? IBV_SEND_INLINE : 0,
			.immediate = i,
		};
		datagram_send(&u->end, &d);
	}
}

static void test_calls(struct ud *u)
{
	uint32_t handle = u->ah->handle;
	struct sealift_rxe_ah ah;
	int status;
	pid_t pid;

	expect(0, sl_dump_ah(u->fd, handle, &ah), "dump of an AH");
	expect(-EFAULT, sl_dump_ah(u->fd, handle, BAD_POINTER),
	       "dump of an AH to a bad address");
	expect(-ENOENT, sl_dump_ah(u->fd, 1000, &ah), "dump of no AH");
	expect(-EINVAL, sl_dump_ah(u->fd, u->end.cq->handle, &ah),
	       "dump of a CQ as an AH");
	expect(-EFAULT, sl_restore_ah(u->fd, handle, BAD_POINTER),
	       "restore of an AH from a bad address");
	sl_resume(u->fd);
	expect(-EBUSY, sl_dump_ah(u->fd, handle, &ah),
	       "dump of an AH not held");
	expect(-EBUSY, sl_restore_ah(u->fd, handle, &ah),
	       "restore of an AH not held");
	if (sl_hold(u->fd, TIMER, 5000))
		errx(1, "HOLD");

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			err(1, "setresuid");
		expect(-EPERM, sl_dump_ah(u->fd, handle, &ah),
		       "dump of an AH by anyone");
		expect(-EPERM, sl_restore_ah(u->fd, handle, &ah),
		       "restore of an AH by anyone");
		fflush(stdout);
		_exit(expect_failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		expect_failed = 1;
}

static void test_ah(struct ud *u)
{
	struct sealift_rxe_ah orig, ah, now;
	const struct rxe_image_limit *limit;
	uint32_t value;

	if (sl_dump_ah(u->fd, u->ah->handle, &orig))
		errx(1, "DUMP_AH");
	ah = orig;

#define BAD_AH(error, change) do {					\
	change;								\
	expect(error, sl_restore_ah(u->fd, u->ah->handle, &ah), #change); \
	ah = orig;							\
} while (0)
	for (limit = rxe_image_ah_limits; limit->field; limit++) {
		value = limit->max + 1;
		memcpy((char *)&ah + limit->offset, &value, limit->size);
		expect(-EINVAL, sl_restore_ah(u->fd, u->ah->handle, &ah),
		       "ah.%s = %#x", limit->field, value);
		ah = orig;
	}
	BAD_AH(-EINVAL, ah.number = 0);
	BAD_AH(-EINVAL, ah.number += 1);
	BAD_AH(-EINVAL, ah.av.present = 0);
	BAD_AH(-EINVAL, memset(&ah.av, 0, sizeof(ah.av)));
	BAD_AH(-EINVAL, ah.av.network_type = 0);
	BAD_AH(-EINVAL, ah.av.network_type = 2);
	BAD_AH(-EINVAL, ah.av.sgid[10] = 0);
	BAD_AH(-EINVAL, ah.av.dgid[10] = 0);
	BAD_AH(-EADDRNOTAVAIL, ah.av.sgid[15] ^= 1);
	BAD_AH(0, ah.pd_handle = -1);
	BAD_AH(0, ah.user_handle = -1);
	BAD_AH(0, ah.av.sgid_index = 255);
	/* as the verbs core takes it */
	BAD_AH(0, ah.av.dgid[0] = 0xff);
	expect(0, sl_restore_ah(u->fd, u->ah->handle, &orig), "as it was");
	memset(&now, 0, sizeof(now));
	expect(0, sl_dump_ah(u->fd, u->ah->handle, &now), "dumped again");
	expect(0, memcmp(&now, &orig, sizeof(now)), "nothing is changed");
}

static int attempt(struct victim *v)
{
	uint32_t handle;
	int ret = victim_restore(v, &handle);

	if (!ret)
		raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
	return ret;
}

static void test_fields(struct victim *v)
{
	const uint32_t state = v->qp_orig.state;

#define BAD_UD(change) do {						\
	v->qp.change;							\
	expect(-EINVAL, attempt(v), "ud." #change);			\
	victim_reset(v);						\
} while (0)
	expect(0, attempt(v), "restore an unaltered UD queue pair");
	expect(RTS, state, "which can send");
	BAD_UD(qp_type = 2);
	BAD_UD(qp_type = 1);
	BAD_UD(state = RXE_IMAGE_SQE);
	BAD_UD(num_mcast = 1);
	BAD_UD(num_res = 1);
	BAD_UD(attr.path_mtu = 0);
	BAD_UD(attr.port_num = 0);
	BAD_UD(attr.dest_qpn = 1);
	BAD_UD(attr.rq_psn = 1);
	BAD_UD(attr.access_flags = 1);
	BAD_UD(attr.timeout = 14);
	BAD_UD(attr.retry_cnt = 1);
	BAD_UD(attr.rnr_retry = 1);
	BAD_UD(attr.min_rnr_timer = 1);
	BAD_UD(attr.max_rd_atomic = 1);
	BAD_UD(attr.max_dest_rd_atomic = 1);
	BAD_UD(attr.path_mig_state = 1);
	BAD_UD(attr.av.present = 1);
	BAD_UD(req.rd_atomic = 1);
	BAD_UD(req.noack_pkts = 1);
	BAD_UD(req.ssn = 1);
	BAD_UD(req.opcode = RXE_IMAGE_SEND_FIRST);
	BAD_UD(comp.opcode = RXE_IMAGE_READ_FIRST);
	BAD_UD(comp.retry_cnt = 1);
	BAD_UD(comp.rnr_retry = 1);
	BAD_UD(comp.started_retry = 1);
	BAD_UD(comp.rnr_wait = 1);
	BAD_UD(comp.nak_syndrome = 0x61);
	BAD_UD(resp.opcode = RXE_IMAGE_SEND_FIRST);
	BAD_UD(resp.res_head = 1);
	BAD_UD(resp.sent_psn_nak = 1);
	BAD_UD(resp.va = 1);
	BAD_UD(resp.offset = 1);
	BAD_UD(resp.resid = 1);
	BAD_UD(resp.rkey = 1);
	BAD_UD(resp.length = 1);
	BAD_UD(resp.wqe.present = 1);
	BAD_UD(resp.wqe.wr_id = 1);
	v->qp.attr.path_mtu = 5;
	expect(v->qp_orig.attr.path_mtu == 5 ? 0 : -EMSGSIZE, attempt(v),
	       "datagrams as long as no interface takes");
	victim_reset(v);
	v->qp.attr.qkey = -1;
	expect(0, attempt(v), "any Q_Key");
	victim_reset(v);
}

static void test_ring(struct victim *v)
{
	struct rxe_send_wqe *wqe = (void *)(v->sq + sizeof(struct rxe_queue_buf) +
		((uint64_t)v->qp.sq.index << v->qp.sq.log2_elem_size));

#define BAD_WQE(want, change) do {					\
	wqe->change;							\
	expect(want, attempt(v), "ud request " #change);		\
	victim_reset(v);						\
} while (0)
	BAD_WQE(-EINVAL, state = PROCESSING);
	BAD_WQE(-EINVAL, state = PENDING);
	BAD_WQE(-EINVAL, wr.opcode = 0);
	BAD_WQE(-EINVAL, wr.opcode = 4);
	BAD_WQE(-EINVAL, dma.num_sge = v->qp_orig.max_send_sge + 1);
	BAD_WQE(-EINVAL, dma.resid = -1);
	/* looked up when it is sent, as of any other request */
	BAD_WQE(0, wr.wr.ud.ah_num = -1);
	BAD_WQE(0, wr.wr.ud.ah_num = 0);
}

void malformed_ud(const char *device, unsigned int rounds)
{
	static struct ud u;
	struct mutate_memory mem;
	struct sealift_rxe_ah ah;
	struct victim v;

	memset(&u, 0, sizeof(u));
	open_ud(&u, device);
	test_calls(&u);
	test_ah(&u);
	if (sl_dump_ah(u.fd, u.ah->handle, &ah))
		errx(1, "DUMP_AH");
	post(&u);
	victim_take(&v, u.fd, u.end.qp->handle);
	test_fields(&v);
	test_ring(&v);
	mem = (struct mutate_memory){
		.address = (uintptr_t)u.memory,
		.size = sizeof(u.memory),
		.key = u.end.mr->rkey,
		.handle = ah.number,
	};
	malformed_fuzz(&v, &mem, rounds);
	sl_resume(u.fd);
	victim_free(&v);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What the stock driver takes though it makes no sense: it moves, and is the
 * same afterwards.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "recv_ring.h"
#include "scripted.h"
#include "shared.h"
#include "victim.h"

#define MOST	255		/* what a byte of modify_qp's has room for */
#define LONGEST	0xffffffffU	/* bytes of an element */
#define ALL_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |	\
		    IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC |	\
		    IBV_ACCESS_MW_BIND | IBV_ACCESS_ON_DEMAND)

static void modify(struct scripted *s, struct ibv_qp_attr *attr, int mask,
		   const char *what)
{
	expect(0, ibv_modify_qp(s->end.qp, attr, mask), "%s", what);
}

/* Each attribute as large as the driver takes it, by the way of every state. */
static void connect_oddly(struct scripted *s)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.pkey_index = 0xffff,
		.port_num = 1,
		.qp_access_flags = ALL_ACCESS,
	};

	scripted_open_end(s, IBV_QPT_RC);
	modify(s, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
	       IBV_QP_ACCESS_FLAGS, "INIT");

	attr.qp_state = IBV_QPS_RTR;
	attr.path_mtu = IBV_MTU_1024;
	attr.dest_qp_num = 0xff000000U | SCRIPTED_QPN;
	attr.rq_psn = SCRIPTED_RQ_PSN;
	attr.max_dest_rd_atomic = MOST;
	attr.min_rnr_timer = MOST;
	attr.ah_attr = (struct ibv_ah_attr){
		.is_global = 1,
		.port_num = 1,
		.sl = MOST,
		.static_rate = MOST,
		.src_path_bits = MOST,
		.grh = {
			.flow_label = 0xffffffffU,
			.sgid_index = endpoint_sgid_index(&s->end),
			.hop_limit = MOST,
			.traffic_class = 0xfc,
		},
	};
	scripted_peer_gid(s, &attr.ah_attr.grh.dgid);
	modify(s, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
	       IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
	       IBV_QP_MIN_RNR_TIMER, "RTR");

	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = SCRIPTED_SQ_PSN;
	attr.timeout = 31;
	attr.retry_cnt = MOST;
	attr.rnr_retry = MOST;
	attr.max_rd_atomic = 128;
	attr.path_mig_state = MOST;
	modify(s, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
	       IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC |
	       IBV_QP_PATH_MIG_STATE, "RTS");

	attr.qp_state = IBV_QPS_SQD;
	attr.en_sqd_async_notify = MOST;
	modify(s, &attr, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY, "SQD");
	expect(IBV_EVENT_SQ_DRAINED, scripted_event(s, 2000), "drained");
	attr.qp_state = IBV_QPS_RTS;
	modify(s, &attr, IBV_QP_STATE, "RTS again");
}

static void query(const struct scripted *s, struct ibv_qp_attr *attr)
{
	struct ibv_qp_init_attr init;
	const int all = IBV_QP_STATE | IBV_QP_RETRY_CNT;

	memset(attr, 0, sizeof(*attr));
	if (ibv_query_qp(s->end.qp, attr, all, &init))
		err(1, "ibv_query_qp");
}

static void odd_attributes(void)
{
	struct ibv_qp_attr was, now;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	connect_oddly(&s);
	scripted_write(&s, 64, 1);
	scripted_hold(&s);
	query(&s, &was);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(MOST, v.qp.attr.retry_cnt, "the image has retry_cnt as it is");
	expect(0, victim_restore(&v, &handle), "any attribute is restored");
	if (handle != s.end.qp->handle)
		errx(1, "another handle");
	query(&s, &now);
#define SAME(field) expect((int)was.field, (int)now.field, #field " as before")
	SAME(retry_cnt);
	SAME(rnr_retry);
	SAME(min_rnr_timer);
	SAME(pkey_index);
	SAME(max_dest_rd_atomic);
	SAME(max_rd_atomic);
	SAME(dest_qp_num);
	SAME(en_sqd_async_notify);
	SAME(path_mig_state);
	SAME(qp_access_flags);
	SAME(ah_attr.grh.hop_limit);
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 1000),
	       "what had no answer is sent again");
	scripted_answer(&s, WIRE_OK, 0);
	expect(0, scripted_completion(&s, 1000, NULL), "and completes");
}

/* What is left of the retries is the driver's, and as large. */
static void retries_left(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	connect_oddly(&s);
	scripted_write(&s, 64, 1);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.comp.retry_cnt = 8;
	v.qp.comp.rnr_retry = 9;
	expect(0, victim_restore(&v, &handle), "with some of many retries left");
	victim_take(&v, s.fd, handle);
	expect(8, v.qp.comp.retry_cnt, "as many are left");
	expect(9, v.qp.comp.rnr_retry, "of RNR NAKs too");
}

/* Of the interface that the device is on. */
static void set_mtu(int mtu)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "ip link set \"$(cat /sys/class/infiniband/%s/parent)\" mtu %d",
		 scripted_place.device, mtu);
	if (system(command))
		errx(1, "%s", command);
	usleep(100000);
}

/* Not below 1280, where the kernel would take IPv6 from the interface. */
static void mtu_back(void)
{
	set_mtu(4500);
}

/* A path's MTU may be more than the port's: short messages get through. */
static void mtu_above_the_ports(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_4096,
		.dest_qp_num = SCRIPTED_QPN,
		.rq_psn = SCRIPTED_RQ_PSN,
		.max_dest_rd_atomic = 4,
		.ah_attr = { .is_global = 1, .port_num = 1 },
	};
	struct scripted s;
	struct victim v;
	uint32_t handle;

	atexit(mtu_back);
	set_mtu(2500);
	scripted_open_end(&s, IBV_QPT_RC);
	endpoint_init(&s.end);
	scripted_peer_gid(&s, &attr.ah_attr.grh.dgid);
	attr.ah_attr.grh.sgid_index = endpoint_sgid_index(&s.end);
	modify(&s, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
	       IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
	       IBV_QP_MIN_RNR_TIMER, "a path MTU above the port's");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(IBV_MTU_4096, v.qp.attr.path_mtu, "the image has the path's MTU");
	expect(IBV_MTU_2048, v.qp.attr.active_mtu, "and the port's");
	expect(0, victim_restore(&v, &handle), "it is restored where it was");
	victim_destroy(&v, handle);
	set_mtu(1500);
	expect(-EMSGSIZE, victim_restore(&v, &handle),
	       "but not where less gets through than there");
	set_mtu(4500);
	expect(0, victim_restore(&v, &handle), "it is where more gets through");
	victim_destroy(&v, handle);
	v.qp.attr.path_mtu = IBV_MTU_1024;
	set_mtu(1500);
	expect(0, victim_restore(&v, &handle),
	       "a path of shorter packets than the port's needs no more than that");
	victim_destroy(&v, handle);
	victim_reset(&v);
	v.qp.attr.active_mtu = 0;
	expect(-EINVAL, victim_restore(&v, &handle), "a port without an MTU");
	v.qp.attr.active_mtu = 6;
	expect(-EINVAL, victim_restore(&v, &handle), "a port with another one");
	mtu_back();
}

static void post_long(struct scripted *s, uint32_t first, uint32_t second)
{
	struct ibv_sge sge[2] = {
		{ (uintptr_t)s->mem, first, s->end.mr->lkey },
		{ (uintptr_t)s->mem, second, s->end.mr->lkey },
	};
	struct ibv_recv_wr wr = { .sg_list = sge, .num_sge = second ? 2 : 1 };

	endpoint_post_recv(&s->end, &wr);
}

static void receive(struct scripted *s, uint32_t nth, const char *what)
{
	shared_send(s, s->end.qp, WIRE_SEND_ONLY, nth, 0);
	expect(0, scripted_completion(s, 1000, NULL), "%s", what);
}

/*
 * Requests for more than any message has, and one whose length does not fit in
 * 32 bits. libibverbs checks none; the driver completes one without data.
 */
static void long_requests(void)
{
	struct sealift_rxe_srq srq;
	static unsigned char ring[1 << 16];
	struct raw_map map;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	scripted_open(&s);
	post_long(&s, 4096, 0);
	post_long(&s, LONGEST, 0);
	post_long(&s, 1U << 31, 4096);
	post_long(&s, LONGEST, 200);
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300),
	       "a message takes a request, before longer ones");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(1, v.qp.resp.wqe.present, "the image has it");
	v.qp.resp.wqe.length = LONGEST;
	expect(0, victim_restore(&v, &handle), "one of 4 GiB may be taken");
	victim_destroy(&v, handle);
	v.qp.resp.wqe.cur_sge = 2;
	expect(-EINVAL, victim_restore(&v, &handle), "beyond its elements");
	victim_reset(&v);
	expect(0, victim_restore(&v, &handle), "long requests are restored");

	/* the same in a shared queue */
	srq = (struct sealift_rxe_srq){
		.pd_handle = s.end.pd->handle, .max_wr = 8, .max_sge = 2
	};
	if (raw_create_srq(s.fd, &srq, &handle, &map) ||
	    sl_dump_srq(s.fd, handle, ring, sizeof(ring), &srq))
		errx(1, "SRQ");
	raw_destroy_srq(s.fd, handle);
	recv_ring_post(ring, LONGEST, LONGEST);
	if (raw_create_srq(s.fd, &srq, &handle, &map))
		errx(1, "CREATE_SRQ");
	expect(0, sl_restore_srq(s.fd, handle, &srq, ring, srq.ring.size),
	       "and shared ones");
	raw_destroy_srq(s.fd, handle);

	scripted_resume(&s);
	shared_send(&s, s.end.qp, WIRE_SEND_LAST, 1, 100);
	expect(0, scripted_completion(&s, 1000, NULL), "the message ends");
	receive(&s, 2, "one of 4 GiB is taken");
	receive(&s, 3, "and one that ends beyond 2 GiB");
	receive(&s, 4, "and one that is too long to count");
}

const struct protocol_case protocol_odd_cases[] = {
	{ "odd: attributes", odd_attributes },
	{ "odd: retries left", retries_left },
	{ "odd: MTU above the port's", mtu_above_the_ports },
	{ "odd: long receive requests", long_requests },
	{ 0 },
};

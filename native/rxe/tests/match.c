// SPDX-License-Identifier: GPL-2.0
#include "match.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "datagram.h"
#include "image.h"
#include "pair.h"

#define RECVS		MATCH_OPS
#define HOLD_TIMER	14	/* the RNR timer of a hold, 1.92 ms */
#define HOLD_MS		20000
#define FIRST_PSN	0xfffffa	/* wraps around within the first operations */

struct match_place match_place[2];

static const struct ibv_qp_cap cap = {
	.max_send_wr = MATCH_DEPTH,
	.max_recv_wr = RECVS,
	.max_send_sge = 1,
	.max_recv_sge = 1,
	.max_inline_data = MATCH_INLINE,
};

void match_prepare(void)
{
	pair_enter(match_place[0].netns);
	ibv_free_device_list(ibv_get_device_list(NULL));
}

static void open_end(struct match *m, int end)
{
	struct match_end *own = &m->end[end];

	own->mem = mmap(NULL, sizeof(*own->mem), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own->mem == MAP_FAILED)
		err(1, "mmap");
	if (end)
		pair_enter(match_place[end].netns);
	endpoint_open(&own->e, match_place[end].device, m->type, &cap, own->mem,
		      sizeof(*own->mem), own);
}

void match_open(struct match *m, enum ibv_qp_type type, unsigned int traits,
		unsigned int moving)
{
	memset(m, 0, sizeof(*m));
	m->type = type;
	m->traits = traits;
	m->moving = moving;
	if (traits & MATCH_SHARED)
		setenv("LIVE_SRQ", "1", 1);
	open_end(m, 0);
	open_end(m, 1);
	if (type == IBV_QPT_RC || traits & MATCH_EXTENDED) {
		match_extend(m, 0, &cap);
		match_extend(m, 1, &cap);
	}
	if (type == IBV_QPT_RC)
		return;
	m->end[0].ah = datagram_handle(&m->end[0].e, &m->end[1].e.gid);
	m->end[1].ah = datagram_handle(&m->end[1].e, &m->end[0].e.gid);
}

static void modify(struct match_end *own, struct ibv_qp_attr attr, int mask)
{
	if (ibv_modify_qp(own->e.qp, &attr, IBV_QP_STATE | mask))
		err(1, "state %d", attr.qp_state);
}

static void to_rtr(struct match *m, int end)
{
	struct match_end *own = &m->end[end], *peer = &m->end[!end];

	if (m->type == IBV_QPT_UD) {
		datagram_to(&own->e, IBV_QPS_RTR);
		return;
	}
	modify(own, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer->e.qp->qp_num,
		.rq_psn = FIRST_PSN,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 20,	/* 10.24 ms */
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = peer->e.gid,
				.sgid_index = endpoint_sgid_index(&own->e),
				.hop_limit = 64,
			},
		},
	}, IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
}

static void to_rts(struct match *m, int end)
{
	if (m->type == IBV_QPT_UD) {
		datagram_to(&m->end[end].e, IBV_QPS_RTS);
		return;
	}
	/* 0.54 s, seven times: longer than any pause of a test but the silence */
	modify(&m->end[end], (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.sq_psn = FIRST_PSN,
		.timeout = MATCH_TIMEOUT,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	}, IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
	   IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
}

void match_connect(struct match *m, enum ibv_qp_state from,
		   enum ibv_qp_state state)
{
	int end;

	for (end = 0; end < 2; end++) {
		if (from < IBV_QPS_INIT && state >= IBV_QPS_INIT) {
			if (m->type == IBV_QPT_UD)
				datagram_init(&m->end[end].e);
			else
				endpoint_init(&m->end[end].e);
			match_receives(m, end);
		}
		if (from < IBV_QPS_RTR && state >= IBV_QPS_RTR)
			to_rtr(m, end);
		if (from < IBV_QPS_RTS && state >= IBV_QPS_RTS)
			to_rts(m, end);
	}
}

void match_state(struct match *m, int end, enum ibv_qp_state state)
{
	modify(&m->end[end], (struct ibv_qp_attr){
		.qp_state = state,
		.en_sqd_async_notify = 1,
	}, state == IBV_QPS_SQD ? IBV_QP_EN_SQD_ASYNC_NOTIFY : 0);
	m->end[end].failed = state == IBV_QPS_ERR;
}

void match_drained(const struct match *m, int end)
{
	struct ibv_context *ctx = m->end[end].e.ctx;
	struct pollfd p = { .fd = ctx->async_fd, .events = POLLIN };
	struct ibv_async_event event;

	if (poll(&p, 1, MATCH_WAIT_MS) <= 0 || ibv_get_async_event(ctx, &event))
		errx(1, "the send queue is not drained");
	ibv_ack_async_event(&event);
	if (event.event_type != IBV_EVENT_SQ_DRAINED)
		errx(1, "event %s", ibv_event_type_str(event.event_type));
}

void match_receives(struct match *m, int end)
{
	struct match_end *own = &m->end[end];

	for (; !m->no_receives && own->recvs < RECVS; own->recvs++)
		datagram_receive(&own->e, own->mem->recv[own->recvs], MATCH_SLOT,
				 MATCH_RECV | own->recvs);
}

static void post(struct match *m, int end, struct match_op op, bool begin)
{
	struct match_end *own = &m->end[end];

	if (own->posted == MATCH_OPS)
		errx(1, "too many operations");
	own->op[own->posted] = op;
	match_op_post(m, end, own->posted, begin);
	own->posted++;
}

void match_post(struct match *m, int end, struct match_op op)
{
	post(m, end, op, false);
}

void match_begin(struct match *m, int end, struct match_op op)
{
	post(m, end, op, true);
}

void match_posts(struct match *m, unsigned int n, struct match_op op)
{
	while (n--)
		match_post(m, 0, op);
}

void match_hold(struct match *m, int end)
{
	int ret = sl_hold(m->end[end].e.ctx->cmd_fd, HOLD_TIMER, HOLD_MS);

	if (ret)
		errx(1, "HOLD of end %d: %s", end, strerror(-ret));
	m->end[end].held = true;
}

void match_resume(struct match *m, int end)
{
	if (sl_resume(m->end[end].e.ctx->cmd_fd))
		errx(1, "RESUME");
	m->end[end].held = false;
}

void match_rebuild(struct match *m, int end)
{
	struct endpoint *e = &m->end[end].e;
	struct image img;

	image_dump(&img, e->ctx->cmd_fd, e->channel->fd);
	image_destroy(&img, e->ctx->cmd_fd);
	image_restore(&img, e->ctx->cmd_fd, 0);
	image_compare(&img, e->ctx->cmd_fd);
	image_free(&img);
}

void match_move(struct match *m)
{
	bool held[2] = { m->end[0].held, m->end[1].held };
	int end;

	for (end = 0; end < 2; end++)
		if (m->moving & 1 << end && !held[end])
			match_hold(m, end);
	for (end = 0; end < 2; end++)
		if (m->moving & 1 << end)
			match_rebuild(m, end);
	for (end = 1; end >= 0; end--)
		if (m->moving & 1 << end && !held[end])
			match_resume(m, end);
	m->moves++;
}

static void filter(int end, const char *rule)
{
	char command[256];

	snprintf(command, sizeof(command), "nsenter --net=/run/netns/%s nft '%s'",
		 match_place[end].netns, rule);
	if (system(command))
		errx(1, "%s", command);
}

void match_silence(struct match *m, int end)
{
	filter(end, "add table inet sl_match { chain in { type filter hook input priority 0; udp dport 4791 drop; }; }");
	m->silent = end;
}

void match_hear(struct match *m)
{
	filter(m->silent, "delete table inet sl_match");
	m->silent = -1;
}

/* In a process of its own, as it stays in the namespace. */
static void release(int end)
{
	struct ibv_context *ctx;
	pid_t pid = fork();

	if (!pid) {
		if (end)
			pair_enter(match_place[end].netns);
		ctx = endpoint_open_device(match_place[end].device);
		_exit(sl_resume(ctx->cmd_fd) != 0);
	}
	pair_join(pid);
}

void match_clean(void)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "for n in %s %s; do nsenter --net=/run/netns/$n nft delete table inet sl_match 2> /dev/null; done",
		 match_place[0].netns, match_place[1].netns);
	if (system(command) < 0)
		err(1, "nft");
	release(0);
	release(1);
}

void match_close(struct match *m)
{
	int end;

	for (end = 0; end < 2; end++) {
		if (m->end[end].ah && ibv_destroy_ah(m->end[end].ah))
			err(1, "ibv_destroy_ah");
		endpoint_close(&m->end[end].e);
	}
}

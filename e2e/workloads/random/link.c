// SPDX-License-Identifier: Apache-2.0
/* A pair's end: its queue pair, and the memory that the other end works on. */
#include <string.h>

#include "extended.h"
#include "failure.h"
#include "side.h"

#define RETRY_COUNT 7 /* and RNR retries without a limit: no peer gives up before the move is over */

struct source_of {
	const struct side *side;
	unsigned int pair;
};

static uint8_t source_content(const void *of, uint32_t i)
{
	const struct source_of *s = of;

	return source_byte(s->side->all, s->side->name, s->pair, i);
}

static void make_memory(struct side *s, struct link *l)
{
	struct ibv_pd *pd = s->pd[l->plan->pd];
	struct source_of of = { s, l->number };

	memory_make(&l->arena_memory, l->plan->arena, sizeof(struct arena), s->directory, NULL, NULL);
	l->arena = (struct arena *)l->arena_memory.at;
	l->arena_mr = ibv_reg_mr(pd, l->arena, sizeof(struct arena),
				 IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
					 IBV_ACCESS_REMOTE_ATOMIC);
	MUST(l->arena_mr);
	memory_make(&l->source, l->plan->source, DEVICE_PAGES * PAGE, s->directory, source_content, &of);
	l->source_mr = ibv_reg_mr(pd, l->source.at, DEVICE_PAGES * PAGE, IBV_ACCESS_REMOTE_READ);
	MUST(l->source_mr);
	if (l->plan->srq != NONE) {
		l->inbox = &s->inbox[l->plan->srq];
		return;
	}
	l->inbox = &l->own;
	inbox_make(l->inbox, l->plan->inbox, l->plan->receives, l->plan->sges, pd, s->directory);
	l->inbox->qp = l->qp;
}

void link_make(struct side *s, unsigned int number)
{
	struct link *l = &s->link[number];
	const struct plan_pair *pair = &s->all->pair[number];
	const struct plan_end *plan = &pair->end[s->name];
	struct ibv_qp_init_attr init = {
		.qp_context = l,
		.send_cq = s->queue[plan->send_cq].cq,
		.recv_cq = s->queue[plan->receive_cq].cq,
		.srq = plan->srq == NONE ? NULL : s->srq[plan->srq],
		.cap = { plan->window, plan->receives, plan->sges, plan->sges, plan->inline_bytes },
		.qp_type = pair->transport == TRANSPORT_RC ? IBV_QPT_RC : IBV_QPT_UD,
		.sq_sig_all = plan->signals_all,
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qkey = QKEY + number,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
				   IBV_ACCESS_REMOTE_ATOMIC,
	};

	l->number = number;
	l->pair = pair;
	l->plan = plan;
	l->out = (struct flow){ .plan = s->all, .pair = number, .from = s->name };
	l->in = (struct flow){ .plan = s->all, .pair = number, .from = s->name == SERVER ? CLIENT : SERVER };
	if (plan->srq != NONE) {
		init.cap.max_recv_wr = 0;
		init.cap.max_recv_sge = 0;
	}
	l->qp = plan->extended ? extended_qp(s->pd[plan->pd], &init) : ibv_create_qp(s->pd[plan->pd], &init);
	MUST(l->qp);
	make_memory(s, l);
	MUST(!ibv_modify_qp(l->qp, &attr,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				    (pair->transport == TRANSPORT_RC ? IBV_QP_ACCESS_FLAGS : IBV_QP_QKEY)));
	if (plan->srq == NONE)
		inbox_post_all(l->inbox);
}

void link_address(const struct side *s, const struct link *l, struct remote *own)
{
	*own = (struct remote){
		.qpn = l->qp->qp_num,
		.psn = l->plan->first_psn,
		.arena = (uintptr_t)l->arena,
		.arena_key = l->arena_mr->rkey,
		.source = (uintptr_t)l->source.at,
		.source_key = l->source_mr->rkey,
	};
	for (int i = 0; i < PATHS; i++)
		if (s->gid_index[i] != NONE)
			own->gid[i] = s->gid[s->gid_index[i]];
}

static bool both_have(const struct side *s, const struct link *l, enum path path)
{
	static const union ibv_gid none;

	return s->gid_index[path] != NONE && memcmp(&l->remote.gid[path], &none, sizeof(none));
}

void link_connect(struct side *s, struct link *l)
{
	enum path path = both_have(s, l, l->pair->path) ? l->pair->path : PATH_FABRIC;
	const struct plan_end *peer = &l->pair->end[s->name == SERVER ? CLIENT : SERVER];
	bool connected = l->pair->transport == TRANSPORT_RC;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = (enum ibv_mtu)l->pair->mtu,
		.dest_qp_num = l->remote.qpn,
		.rq_psn = l->remote.psn,
		.max_dest_rd_atomic = (uint8_t)peer->reads,
		.min_rnr_timer = (uint8_t)l->plan->rnr_timer,
		.ah_attr = { .grh = { .dgid = l->remote.gid[path],
				      .sgid_index = (uint8_t)s->gid_index[path],
				      .hop_limit = (uint8_t)l->plan->hop_limit,
				      .traffic_class = (uint8_t)l->plan->traffic_class },
			     .is_global = 1, .port_num = PORT },
		.timeout = (uint8_t)l->plan->timeout,
		.retry_cnt = RETRY_COUNT,
		.rnr_retry = 7,
		.sq_psn = l->plan->first_psn,
		.max_rd_atomic = (uint8_t)l->plan->reads,
	};

	MUST(!ibv_modify_qp(l->qp, &attr,
			    IBV_QP_STATE | (connected ? IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
							       IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
							       IBV_QP_MIN_RNR_TIMER : 0)));
	attr.qp_state = IBV_QPS_RTS;
	MUST(!ibv_modify_qp(l->qp, &attr,
			    IBV_QP_STATE | IBV_QP_SQ_PSN |
				    (connected ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
							 IBV_QP_MAX_QP_RD_ATOMIC : 0)));
	if (!connected)
		MUST((l->ah = ibv_create_ah(s->pd[l->plan->pd], &attr.ah_attr)));
}

void link_destroy(struct link *l)
{
	MUST(!ibv_destroy_qp(l->qp));
	MUST(!l->ah || !ibv_destroy_ah(l->ah));
	MUST(!ibv_dereg_mr(l->arena_mr) && !ibv_dereg_mr(l->source_mr));
	if (l->inbox == &l->own)
		inbox_free(&l->own);
	memory_free(&l->arena_memory);
	memory_free(&l->source);
}

// SPDX-License-Identifier: Apache-2.0
/* What verbs say of the objects, before and after. */
#include <string.h>

#include "failure.h"
#include "side.h"

static void look(struct ibv_qp *qp, struct looks *l)
{
	memset(l, 0, sizeof(*l));
	MUST(!ibv_query_qp(qp, &l->attr,
			   IBV_QP_STATE | IBV_QP_CUR_STATE | IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX |
				   IBV_QP_PORT | IBV_QP_QKEY | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_TIMEOUT |
				   IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_RQ_PSN |
				   IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER | IBV_QP_SQ_PSN |
				   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_CAP | IBV_QP_DEST_QPN,
			   &l->init));
	/* Of one with a shared receive queue rxe leaves these as they are in the kernel's memory. */
	if (l->init.srq) {
		l->attr.cap.max_recv_wr = 0;
		l->attr.cap.max_recv_sge = 0;
	}
}

void looks_keep(struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++)
		look(s->link[i].qp, &s->link_looks[i]);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		look(s->idle[i].qp, &s->idle_looks[i]);
}

#define SAME(member) \
	EXPECT(!memcmp(&was->member, &is.member, sizeof(is.member)), "%s %u: " #member " has changed", what, number)

/* @moved_on: it has sent since, so that its PSNs are others. */
static void compare(struct ibv_qp *qp, const struct looks *was, bool moved_on, const char *what,
		    unsigned int number)
{
	struct looks is;

	look(qp, &is);
	SAME(attr.qp_state);
	SAME(attr.path_mtu);
	SAME(attr.qkey);
	SAME(attr.dest_qp_num);
	SAME(attr.qp_access_flags);
	SAME(attr.cap);
	SAME(attr.ah_attr);
	SAME(attr.pkey_index);
	SAME(attr.max_rd_atomic);
	SAME(attr.max_dest_rd_atomic);
	SAME(attr.min_rnr_timer);
	SAME(attr.port_num);
	SAME(attr.timeout);
	SAME(attr.retry_cnt);
	SAME(attr.rnr_retry);
	SAME(init.send_cq);
	SAME(init.recv_cq);
	SAME(init.srq);
	SAME(init.sq_sig_all);
	SAME(init.qp_type);
	if (moved_on)
		return;
	SAME(attr.rq_psn);
	SAME(attr.sq_psn);
}

void looks_check(struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++)
		compare(s->link[i].qp, &s->link_looks[i], true, "pair", i);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		compare(s->idle[i].qp, &s->idle_looks[i], false, "idle queue pair", i);
	for (int i = 0; i < GIDS; i++) {
		union ibv_gid gid;

		if (ibv_query_gid(s->context[0], PORT, i, &gid))
			memset(&gid, 0, sizeof(gid));
		EXPECT(!memcmp(&gid, &s->gid[i], sizeof(gid)), "the GID at index %d has changed", i);
	}
}

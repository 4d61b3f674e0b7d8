// SPDX-License-Identifier: GPL-2.0
#include "clutter.h"

#include <err.h>
#include <stddef.h>

#include "datagram.h"
#include "method.h"
#include "random.h"

#define OBJECTS		8	/* at most */
#define LISTED		512
#define USER_MEMORY	3	/* IB_MR_TYPE_USER */

static struct ibv_qp *queue_pair(struct endpoint *e, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.send_cq = e->cq,
		.recv_cq = e->cq,
		.cap = {
			.max_send_wr = 1 + any(40),
			.max_recv_wr = any(40),
			.max_send_sge = 1 + any(4),
			.max_recv_sge = 1 + any(4),
			.max_inline_data = any(128),
		},
		.qp_type = type,
		.sq_sig_all = any(2),
	};
	struct ibv_qp *qp = ibv_create_qp(e->pd, &init);

	if (!qp)
		err(1, "ibv_create_qp");
	return qp;
}

static void datagram_pair(struct endpoint *e)
{
	struct endpoint other = *e;

	other.qp = queue_pair(e, IBV_QPT_UD);
	switch (any(4)) {
	case 0:
		return;
	case 1:
		datagram_init(&other);
		return;
	case 2:
		datagram_init(&other);
		datagram_to(&other, IBV_QPS_RTR);
		return;
	default:
		datagram_ready(&other);
		if (any(3) == 0)
			datagram_to(&other, IBV_QPS_ERR);
	}
}

static void shared_queue(struct endpoint *e)
{
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = 1 + any(60), .max_sge = 1 + any(4) },
	};
	struct ibv_srq *srq = ibv_create_srq(e->pd, &init);
	struct ibv_srq_attr limit = { .srq_limit = 1 };

	if (!srq || (any(2) && ibv_modify_srq(srq, &limit, IBV_SRQ_LIMIT)))
		err(1, "a shared receive queue");
}

static void connected_pair(struct endpoint *e)
{
	struct endpoint other = *e;

	other.qp = queue_pair(e, IBV_QPT_RC);
	if (any(2))
		endpoint_init(&other);
}

static void one(struct clutter *c, struct endpoint *e, const union ibv_gid *peer)
{
	static const int access[] = {
		0, IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_READ,
	};

	switch (any(13)) {
	case 0:
	case 1:
		datagram_handle(e, peer);
		break;
	case 2:
		if (ibv_destroy_ah(datagram_handle(e, peer)))
			err(1, "ibv_destroy_ah");
		break;
	case 3:
	case 4:
		datagram_pair(e);
		break;
	case 5:
		connected_pair(e);
		break;
	case 6:
		shared_queue(e);
		break;
	case 7:
		if (!ibv_create_cq(e->ctx, 1 + any(200), NULL, e->channel, 0))
			err(1, "ibv_create_cq");
		break;
	case 8:
	case 9:
		if (!ibv_reg_mr(e->pd, e->mr->addr, 1 + any(20000), access[any(3)]))
			err(1, "ibv_reg_mr");
		break;
	case 10:
		if (!ibv_alloc_pd(e->ctx))
			err(1, "ibv_alloc_pd");
		break;
	case 11:
		if (!c->window)
			c->window = ibv_alloc_mw(e->pd, IBV_MW_TYPE_1);
		break;
	default:
		if (!c->unreliable)
			c->unreliable = queue_pair(e, IBV_QPT_UC);
	}
}

void clutter_make(struct clutter *c, struct endpoint *e,
		  const union ibv_gid *peer)
{
	unsigned int n;

	for (n = any(OBJECTS + 1); n; n--)
		one(c, e, peer);
}

static bool is_refused(const struct sealift_rxe_device_object *o)
{
	switch (o->kind) {
	case SEALIFT_RXE_KIND_MW:
		return true;
	case SEALIFT_RXE_KIND_QP:
		return (o->type != IBV_QPT_RC && o->type != IBV_QPT_UD) ||
		       o->num_mcast || o->flags & SEALIFT_RXE_OBJECT_NO_SOURCE;
	case SEALIFT_RXE_KIND_AH:
		return o->flags & SEALIFT_RXE_OBJECT_NO_SOURCE;
	case SEALIFT_RXE_KIND_MR:
		return o->type != USER_MEMORY || !o->owner;
	default:
		return false;
	}
}

bool clutter_refused(const struct endpoint *e)
{
	static struct sealift_rxe_device_object objects[LISTED];
	struct sealift_rxe_context ctx;
	struct sealift_rxe_list out;
	uint32_t i;

	if (sl_context(e->ctx->cmd_fd, NULL, 0, &ctx) ||
	    sl_list(e->ctx->cmd_fd, objects, LISTED, &out))
		errx(1, "LIST");
	for (i = 0; i < out.count; i++)
		if (objects[i].context == ctx.number && is_refused(&objects[i]))
			return true;
	return false;
}

void clutter_remove_refused(struct clutter *c)
{
	if (!c->window && !c->unreliable)
		errx(1, "LIST has something that cannot be moved, and nobody made it");
	if ((c->window && ibv_dealloc_mw(c->window)) ||
	    (c->unreliable && ibv_destroy_qp(c->unreliable)))
		err(1, "destroy");
	c->window = NULL;
	c->unreliable = NULL;
}

// SPDX-License-Identifier: GPL-2.0
#include "endpoint.h"

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ACCESS (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |	\
		IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_FLUSH_GLOBAL)
#define GIDS 16

/* the device's IPv4 address, or with LIVE_IPV6 one of IPv6: link-local, if it says so */
static bool is_wanted(const union ibv_gid *gid)
{
	const char *ipv6 = getenv("LIVE_IPV6");
	bool is_ipv4 = gid->raw[10] == 0xff && gid->raw[11] == 0xff;
	bool is_link_local = gid->raw[0] == 0xfe && gid->raw[1] == 0x80;

	if (!ipv6 || is_ipv4)
		return !ipv6 && is_ipv4;
	return is_link_local == !strcmp(ipv6, "link-local");
}

static void choose_gid(struct endpoint *e)
{
	struct ibv_gid_entry gid;
	int i;

	for (i = 0; i < GIDS; i++) {
		if (!ibv_query_gid_ex(e->ctx, 1, i, &gid, 0) &&
		    gid.gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    is_wanted(&gid.gid))
			e->gid = gid.gid;
	}
}

int endpoint_sgid_index(const struct endpoint *e)
{
	struct ibv_gid_entry gid;
	int i;

	for (i = 0; i < GIDS; i++)
		if (!ibv_query_gid_ex(e->ctx, 1, i, &gid, 0) &&
		    gid.gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    !memcmp(&gid.gid, &e->gid, sizeof(e->gid)))
			return i;

	errx(1, "no GID");
}

struct ibv_context *endpoint_open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL), **d;
	struct ibv_context *ctx = NULL;

	for (d = list; d && *d; d++)
		if (!strcmp(ibv_get_device_name(*d), name))
			ctx = ibv_open_device(*d);
	if (!ctx)
		errx(1, "%s: no such device", name);
	ibv_free_device_list(list);
	return ctx;
}

static void create_srq(struct endpoint *e, const struct ibv_qp_cap *cap)
{
	struct ibv_srq_init_attr init = {
		.srq_context = e,
		.attr = {
			.max_wr = cap->max_recv_wr,
			.max_sge = cap->max_recv_sge,
		},
	};

	e->srq = ibv_create_srq(e->pd, &init);
	if (!e->srq)
		err(1, "ibv_create_srq");
}

struct ibv_qp *endpoint_create_qp(struct endpoint *e,
				  const struct ibv_qp_cap *cap)
{
	struct ibv_qp_init_attr init = {
		.send_cq = e->cq,
		.recv_cq = e->cq,
		.srq = e->srq,
		.cap = *cap,
		.qp_type = e->type,
	};
	struct ibv_qp *qp = ibv_create_qp(e->pd, &init);

	if (!qp)
		err(1, "ibv_create_qp");
	return qp;
}

void endpoint_post_recv(struct endpoint *e, struct ibv_recv_wr *wr)
{
	struct ibv_recv_wr *bad;

	if (e->srq ? ibv_post_srq_recv(e->srq, wr, &bad) :
		     ibv_post_recv(e->qp, wr, &bad))
		err(1, "post a receive request");
}

void endpoint_open(struct endpoint *e, const char *device,
		   enum ibv_qp_type type, const struct ibv_qp_cap *cap,
		   void *mem, size_t size, void *cq_context)
{
	memset(e, 0, sizeof(*e));
	e->type = type;
	e->ctx = endpoint_open_device(device);
	e->pd = ibv_alloc_pd(e->ctx);
	e->channel = ibv_create_comp_channel(e->ctx);
	e->mr = e->pd ? ibv_reg_mr(e->pd, mem, size,
				   IBV_ACCESS_LOCAL_WRITE | ACCESS) : NULL;
	if (!e->pd || !e->channel || !e->mr)
		err(1, "%s", device);
	e->cq = ibv_create_cq(e->ctx, cap->max_send_wr + cap->max_recv_wr,
			      cq_context, e->channel, 0);
	if (!e->cq || ibv_req_notify_cq(e->cq, 0))
		err(1, "ibv_create_cq");
	if (getenv("LIVE_SRQ"))
		create_srq(e, cap);
	e->qp = endpoint_create_qp(e, cap);
	choose_gid(e);
}

int endpoint_try_init(struct endpoint *e)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS,
	};

	return ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			     IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

void endpoint_init(struct endpoint *e)
{
	if (endpoint_try_init(e))
		err(1, "INIT");
}

int endpoint_try_receive(struct endpoint *e, const struct endpoint_path *path)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = path->qpn,
		.rq_psn = path->rq_psn,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = path->min_rnr_timer,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = path->gid,
				.sgid_index = endpoint_sgid_index(e),
				.hop_limit = 64,
				.traffic_class = path->traffic_class,
			},
		},
	};

	return ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_AV |
			     IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			     IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			     IBV_QP_MIN_RNR_TIMER);
}

int endpoint_try_connect(struct endpoint *e, const struct endpoint_path *path)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = path->sq_psn,
		.timeout = path->timeout,
		.retry_cnt = path->retry_cnt,
		.rnr_retry = path->rnr_retry,
		.max_rd_atomic = 4,
	};
	int ret = endpoint_try_receive(e, path);

	if (ret)
		return ret;

	return ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN |
			     IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			     IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
}

void endpoint_connect(struct endpoint *e, const struct endpoint_path *path)
{
	if (endpoint_try_connect(e, path))
		err(1, "connect");
}

void endpoint_close(struct endpoint *e)
{
	/* destroying waits until every event read was acknowledged */
	if (ibv_destroy_qp(e->qp) || (e->srq && ibv_destroy_srq(e->srq)) ||
	    ibv_destroy_cq(e->cq) || ibv_dereg_mr(e->mr) ||
	    ibv_destroy_comp_channel(e->channel) || ibv_dealloc_pd(e->pd) || ibv_close_device(e->ctx))
		err(1, "close");
}

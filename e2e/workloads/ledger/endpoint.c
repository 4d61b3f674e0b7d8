// SPDX-License-Identifier: Apache-2.0
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PORT 1
#define EXCHANGE_TIMEOUT_MS 60000

static int complain(const char *what)
{
	int err = errno ? errno : EIO;

	fprintf(stderr, "ledger: %s: %s\n", what, strerror(err));
	return -err;
}

static int open_device(struct endpoint *e, const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	if (!list)
		return complain("list RDMA devices");
	for (int i = 0; list[i] && !e->context; i++)
		if (!name || !strcmp(ibv_get_device_name(list[i]), name))
			e->context = ibv_open_device(list[i]);
	ibv_free_device_list(list);
	if (e->context)
		return 0;
	errno = ENODEV;
	return complain(name ? name : "open an RDMA device");
}

static bool is_ipv4(const union ibv_gid *gid)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(gid->raw, mapped, sizeof(mapped));
}

static int find_gid(struct endpoint *e, int wanted, int count)
{
	if (wanted >= 0) {
		e->gid_index = wanted;
		return ibv_query_gid(e->context, PORT, wanted, &e->gid) ? complain("query GID") : 0;
	}
	for (int i = 0; i < count; i++) {
		if (ibv_query_gid(e->context, PORT, i, &e->gid) || !is_ipv4(&e->gid))
			continue;
		e->gid_index = i;
		return 0;
	}
	errno = ENOENT;
	return complain("find an IPv4 GID");
}

int endpoint_open_device(struct endpoint *e, const char *device, int gid_index)
{
	struct ibv_port_attr port;
	int ret;

	memset(e, 0, sizeof(*e));
	ret = open_device(e, device);
	if (ret)
		return ret;
	if (ibv_query_port(e->context, PORT, &port))
		return complain("query port");
	e->mtu = port.active_mtu;
	return find_gid(e, gid_index, port.gid_tbl_len);
}

int endpoint_set_up(struct endpoint *e, bool events, int cqe, size_t arena_size)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
		     IBV_ACCESS_REMOTE_ATOMIC;

	e->arena = mmap(NULL, arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->arena == MAP_FAILED) {
		e->arena = NULL;
		return complain("map the arena");
	}
	e->arena_size = arena_size;
	e->pd = ibv_alloc_pd(e->context);
	if (!e->pd)
		return complain("allocate PD");
	e->mr = ibv_reg_mr(e->pd, e->arena, arena_size, access);
	if (!e->mr)
		return complain("register memory");
	if (events) {
		e->channel = ibv_create_comp_channel(e->context);
		if (!e->channel ||
		    fcntl(e->channel->fd, F_SETFL, fcntl(e->channel->fd, F_GETFL) | O_NONBLOCK))
			return complain("create completion channel");
	}
	e->send_cq = ibv_create_cq(e->context, cqe, NULL, e->channel, 0);
	e->receive_cq = ibv_create_cq(e->context, cqe, NULL, e->channel, 0);
	if (!e->send_cq || !e->receive_cq)
		return complain("create CQ");
	if (events &&
	    (ibv_req_notify_cq(e->send_cq, 0) || ibv_req_notify_cq(e->receive_cq, 0)))
		return complain("arm CQ");
	return 0;
}

int endpoint_share(struct endpoint *e, unsigned int depth)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = depth, .max_sge = 1 } };

	e->srq = ibv_create_srq(e->pd, &init);
	return e->srq ? 0 : complain("create SRQ");
}

int endpoint_post_receive(struct endpoint *e, struct ibv_qp *qp, struct ibv_recv_wr *wr)
{
	struct ibv_recv_wr *bad;

	return -(e->srq ? ibv_post_srq_recv(e->srq, wr, &bad) : ibv_post_recv(qp, wr, &bad));
}

void endpoint_close(struct endpoint *e)
{
	if (e->srq)
		ibv_destroy_srq(e->srq);
	if (e->send_cq)
		ibv_destroy_cq(e->send_cq);
	if (e->receive_cq)
		ibv_destroy_cq(e->receive_cq);
	if (e->channel)
		ibv_destroy_comp_channel(e->channel);
	if (e->mr)
		ibv_dereg_mr(e->mr);
	if (e->pd)
		ibv_dealloc_pd(e->pd);
	if (e->arena)
		munmap(e->arena, e->arena_size);
	if (e->context)
		ibv_close_device(e->context);
	memset(e, 0, sizeof(*e));
}

struct ibv_qp *endpoint_qp(struct endpoint *e, unsigned int send_depth, unsigned int receive_depth)
{
	struct ibv_qp_init_attr init = {
		.send_cq = e->send_cq,
		.recv_cq = e->receive_cq,
		.srq = e->srq,
		.cap = { send_depth, e->srq ? 0 : receive_depth, 1, e->srq ? 0 : 1, 0 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
				   IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC,
	};
	struct ibv_qp *qp = ibv_create_qp(e->pd, &init);

	if (!qp) {
		complain("create QP");
		return NULL;
	}
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					     IBV_QP_ACCESS_FLAGS)) {
		complain("QP to INIT");
		ibv_destroy_qp(qp);
		return NULL;
	}
	return qp;
}

int endpoint_connect(struct endpoint *e, struct ibv_qp *qp, uint32_t own_psn,
		     const struct address *peer, const struct retries *r)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = peer->mtu < e->mtu ? peer->mtu : e->mtu,
		.dest_qp_num = peer->qpn,
		.rq_psn = peer->psn,
		.max_dest_rd_atomic = 8,
		.min_rnr_timer = (uint8_t)r->min_rnr_timer,
		.ah_attr = {
			.grh = { .dgid = peer->gid, .hop_limit = 64,
				 .sgid_index = (uint8_t)e->gid_index },
			.is_global = 1,
			.port_num = PORT,
		},
	};

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					     IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					     IBV_QP_MIN_RNR_TIMER))
		return complain("QP to RTR");
	attr.qp_state = IBV_QPS_RTS;
	attr.timeout = (uint8_t)r->timeout;
	attr.retry_cnt = (uint8_t)r->retry_count;
	attr.rnr_retry = (uint8_t)r->rnr_retry;
	attr.sq_psn = own_psn;
	attr.max_rd_atomic = 8;
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					     IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					     IBV_QP_MAX_QP_RD_ATOMIC))
		return complain("QP to RTS");
	return 0;
}

int address_send(struct control *c, unsigned int stream, const struct address *a)
{
	char gid[33];

	for (int i = 0; i < 16; i++)
		snprintf(gid + 2 * i, 3, "%02x", a->gid.raw[i]);
	return control_send(c, "address %u %u %u %u %" PRIx64 " %d %s", stream, a->qpn, a->psn, a->rkey,
			    a->base, (int)a->mtu, gid);
}

int address_receive(struct control *c, unsigned int stream, struct address *a)
{
	char line[CONTROL_LINE], gid[33];
	unsigned int got, byte;
	int mtu, ret = control_receive(c, line, EXCHANGE_TIMEOUT_MS);

	if (ret <= 0)
		return ret ? ret : -ETIMEDOUT;
	if (sscanf(line, "address %u %u %u %u %" SCNx64 " %d %32s", &got, &a->qpn, &a->psn, &a->rkey,
		   &a->base, &mtu, gid) != 7 || got != stream || strlen(gid) != 32)
		return -EPROTO;
	a->mtu = (enum ibv_mtu)mtu;
	for (int i = 0; i < 16; i++) {
		if (sscanf(gid + 2 * i, "%2x", &byte) != 1)
			return -EPROTO;
		a->gid.raw[i] = (uint8_t)byte;
	}
	return 0;
}

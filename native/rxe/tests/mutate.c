// SPDX-License-Identifier: GPL-2.0
#include "mutate.h"

#include <stddef.h>
#include <string.h>

#include "expect.h"
#include "mutate_ring.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define PSN(n) ((n) & RXE_IMAGE_PSN_MAX)

static uint32_t some_key(const struct mutate_memory *mem)
{
	return any(4) ? mem->key : any(2) ? any(0x10000) : interesting();
}

static uint64_t some_address(const struct mutate_memory *mem)
{
	return any(4) ? mem->address + any(mem->size) : interesting();
}

static uint32_t some_length(const struct mutate_memory *mem)
{
	return any(4) ? any(mem->size) : interesting();
}

/* a SEND that comes in, and the receive request that it has taken */
static void in_send(struct victim *v, const struct mutate_memory *mem)
{
	struct sealift_rxe_resp *r = &v->qp.resp;
	struct sealift_rxe_recv_wqe *wqe = &r->wqe;
	unsigned int i;

	mutate_receives(v, mem, 1 + any(4));
	memset(wqe, 0, sizeof(*wqe));
	r->opcode = any(2) ? RXE_IMAGE_SEND_FIRST : RXE_IMAGE_SEND_MIDDLE;
	wqe->present = 1;
	wqe->num_sge = any(v->max_recv_sge + 1);
	for (i = 0; i < wqe->num_sge; i++) {
		wqe->sge[i].addr = some_address(mem);
		wqe->sge[i].length = some_length(mem);
		wqe->sge[i].lkey = some_key(mem);
		wqe->length += wqe->sge[i].length;
	}
	if (any(4) == 0)
		wqe->length = interesting();
	wqe->resid = wqe->length ? any(wqe->length) : 0;
	if (wqe->num_sge) {
		wqe->cur_sge = any(wqe->num_sge);
		i = wqe->sge[wqe->cur_sge].length;
		wqe->sge_offset = i ? any(i) : 0;
	}
}

/* a WRITE that comes in: where it goes on */
static void in_write(struct victim *v, const struct mutate_memory *mem)
{
	struct sealift_rxe_resp *r = &v->qp.resp;

	memset(&r->wqe, 0, sizeof(r->wqe));
	r->opcode = any(2) ? RXE_IMAGE_WRITE_FIRST : RXE_IMAGE_WRITE_MIDDLE;
	r->rkey = some_key(mem);
	r->va = some_address(mem);
	r->offset = any(2) ? 0 : interesting();
	r->length = some_length(mem) | 2;
	r->resid = 1 + any(r->length - 1);
}

static void between_messages(struct victim *v)
{
	struct sealift_rxe_resp *r = &v->qp.resp;

	memset(&r->wqe, 0, sizeof(r->wqe));
	r->opcode = any(2) ? SEALIFT_RXE_NONE : RXE_IMAGE_READ_REQUEST;
	r->drop_msg = any(2);
	r->sent_psn_nak = any(2);
	r->aeth_syndrome = any(256);
	r->status = any(22);
}

/* an answer in the cache: what it was, and as many PSNs as its length has */
static void in_cache(struct victim *v, const struct mutate_memory *mem)
{
	uint32_t mtu = 128u << (v->qp.attr.path_mtu & 7), packets = 1;
	struct sealift_rxe_res *res;

	if (!v->qp.num_res || v->qp.num_res > v->qp_orig.num_res)
		return;
	res = &v->res[any(v->qp.num_res)];
	memset(res, 0, sizeof(*res));
	v->qp.resp.res_head = any(v->qp.num_res);
	res->type = any(5);
	if (!res->type)
		return;
	res->first_psn = PSN(v->qp.resp.psn - 1 - any(8));
	if (res->type == SEALIFT_RXE_RES_READ ||
	    res->type == SEALIFT_RXE_RES_FLUSH) {
		res->va = some_address(mem);
		res->length = some_length(mem);
	}
	if (res->type == SEALIFT_RXE_RES_READ) {
		res->rkey = some_key(mem);
		packets = any(4) ? (res->length + mtu - 1) / mtu : any(9);
		packets = packets ? packets : 1;
	}
	if (res->type == SEALIFT_RXE_RES_ATOMIC)
		res->orig_val = interesting();
	if (res->type == SEALIFT_RXE_RES_FLUSH) {
		res->flush_type = any(4);
		res->flush_level = any(2);
	}
	res->last_psn = PSN(res->first_psn + packets - 1);
}

/* the responder's place among the peer's PSNs */
static void responder_psn(struct victim *v)
{
	struct sealift_rxe_resp *r = &v->qp.resp;

	r->psn = PSN(any(4) ? r->psn + any(9) - 4 : interesting());
	r->ack_psn = PSN(any(2) ? r->psn - 1 : interesting());
	r->msn = PSN(interesting());
}

/* a state, and what comes with it */
static void state(struct victim *v)
{
	static const uint8_t states[] = {
		RXE_IMAGE_RESET, RXE_IMAGE_INIT, RXE_IMAGE_RTR, RXE_IMAGE_SQD,
		RXE_IMAGE_ERR, RXE_IMAGE_ERR, RXE_IMAGE_RTS,
	};

	v->qp.state = states[any(ARRAY_SIZE(states))];
	v->qp.flags = any(4) ? 0 : SEALIFT_RXE_QP_ERROR;
	v->qp.attr.sq_draining = v->qp.state == RXE_IMAGE_SQD && any(2);
	if (v->qp.state > RXE_IMAGE_INIT)
		return;
	if (any(4))
		memset(&v->qp.attr.av, 0, sizeof(v->qp.attr.av));
	if (any(4) == 0)
		v->qp.num_res = 0;
	if (v->qp.state == RXE_IMAGE_RESET && any(2))
		v->qp.attr.port_num = 0;
}

/* how many READs and atomics, each way */
static void depths(struct victim *v)
{
	v->qp.attr.max_rd_atomic = 1 << any(8);
	v->qp.req.rd_atomic = any(v->qp.attr.max_rd_atomic + 1);
	if (any(2)) {
		v->qp.attr.max_dest_rd_atomic = 1 << any(3);
		v->qp.num_res = v->qp.attr.max_dest_rd_atomic;
		v->qp.resp.res_head = any(v->qp.num_res);
	}
}

/* timers, retries and the path */
static void attributes(struct victim *v)
{
	struct sealift_rxe_qp_attr *a = &v->qp.attr;

	a->path_mtu = 1 + any(5);
	a->timeout = any(32);
	a->active_mtu = 1 + any(5);
	a->retry_cnt = any(2) ? any(8) : any(256);
	a->rnr_retry = any(2) ? any(8) : any(256);
	a->min_rnr_timer = any(256);
	a->pkey_index = any(2) ? 0 : any(0x10000);
	a->en_sqd_async_notify = any(256);
	a->path_mig_state = any(256);
	a->access_flags = any(4) ? a->access_flags : interesting();
	a->dest_qpn = any(2) ? a->dest_qpn : interesting();
	a->av.hop_limit = any(256);
	a->av.traffic_class = any(256);
	if (any(4) == 0)
		a->av.dgid[12 + any(4)] ^= 1 << any(8);
	v->qp.comp.retry_cnt = any(256);
	v->qp.comp.rnr_retry = any(256);
	v->qp.comp.started_retry = any(2);
}

/* one field at its limit, or just beyond it */
void mutate_limit(struct victim *v)
{
	const struct rxe_image_limit *l;
	uint32_t value;

	l = &rxe_image_limits[any(ARRAY_SIZE(rxe_image_limits) - 1)];
	value = any(2) ? l->max : any(2) ? l->max + 1 : interesting();
	memcpy((char *)&v->qp + l->offset, &value, l->size);
}

/* as many answers as the image says: those that it gains are empty */
static uint32_t cache_bytes(const struct victim *v)
{
	return v->qp_orig.num_res * sizeof(*v->res);
}

void mutate_bytes(struct victim *v)
{
	unsigned int n = 1 + any(3);
	unsigned char *at;

	while (n--) {
		at = (unsigned char *)&v->qp + any(sizeof(v->qp));
		switch (any(4)) {
		case 0:
			at = v->sq + any(v->qp_orig.sq.size);
			break;
		case 1:
			if (v->qp_orig.rq.size)
				at = v->rq + any(v->qp_orig.rq.size);
			break;
		case 2:
			if (cache_bytes(v))
				at = (unsigned char *)v->res + any(cache_bytes(v));
		}
		*at = any(3) ? any(256) : *at ^ 1U << any(8);
	}
}

/* a queue pair before RTS has nothing under way */
static void early(struct victim *v)
{
	v->qp.req.opcode = SEALIFT_RXE_NONE;
	v->qp.req.wqe_index = v->qp.sq.index;
	v->qp.comp.opcode = SEALIFT_RXE_NONE;
	v->qp.comp.nak_syndrome = 0;
	v->qp.comp.nak_psn = 0;
	if (v->qp.state >= RXE_IMAGE_RTR)
		return;
	v->qp.resp.opcode = SEALIFT_RXE_NONE;
	memset(&v->qp.resp.wqe, 0, sizeof(v->qp.resp.wqe));
}

static void mutate_connection(struct victim *v, const struct mutate_memory *mem)
{
	unsigned int n = 1 + any(4);

	while (n--) {
		switch (any(15)) {
		case 0:
			in_send(v, mem);
			break;
		case 1:
			in_write(v, mem);
			break;
		case 2:
			between_messages(v);
			break;
		case 3:
		case 4:
			in_cache(v, mem);
			break;
		case 5:
			responder_psn(v);
			break;
		case 6:
			state(v);
			break;
		case 7:
			depths(v);
			break;
		case 8:
			attributes(v);
			break;
		case 9:
			mutate_receives(v, mem, any(5));
			break;
		case 10:
		case 11:
			mutate_requests(v, mem);
			break;
		case 12:
			mutate_limit(v);
			break;
		case 13:
			mutate_share(v);
			break;
		default:
			mutate_bytes(v);
		}
	}
}

void mutate(struct victim *v, const struct mutate_memory *mem)
{
	if (v->qp_orig.qp_type == RXE_IMAGE_UD)
		mutate_datagrams(v, mem);
	else
		mutate_connection(v, mem);
	if (v->qp.state < RXE_IMAGE_RTS && any(8))
		early(v);
}

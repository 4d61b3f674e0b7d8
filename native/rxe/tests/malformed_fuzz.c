// SPDX-License-Identifier: GPL-2.0
/*
 * Random images: single bytes, and fields that must agree. The driver may accept
 * or refuse each of them, but must not fail, and must accept none that breaks a
 * rule of rxe_sealift_invariants.h.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "expect.h"
#include "malformed.h"
#include "victim.h"
#include "../src/rxe_sealift_invariants.h"

static uint32_t any(uint32_t below)
{
	return rand() % below;
}

/* A number at some limit. */
static uint64_t interesting(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffffff,
		0x1000000, 0x7fffffff, 0x80000000, 0xffffffff,
		0xffff888000000000, 0x7fffffffffff, ~0ULL,
	};

	return values[any(ARRAY_SIZE(values))];
}

/* the message that comes in: opcode, request, place, rest */
static void fuzz_message(struct victim *v)
{
	struct sealift_rxe_resp *r = &v->qp.resp;

	r->opcode = any(0x20);
	r->wqe.present = any(2);
	r->wqe.num_sge = any(4);
	r->wqe.length = interesting();
	r->wqe.resid = any(2) ? r->wqe.length : interesting();
	r->wqe.cur_sge = any(3);
	r->wqe.sge[any(2)].length = interesting();
	r->length = interesting();
	r->resid = any(2) ? r->length / 2 : interesting();
	r->rkey = any(2) ? any(0x10000) : interesting();
	r->va = interesting();
	r->offset = interesting();
}

/* an answer in the cache: kind, PSNs, place */
static void fuzz_cache(struct victim *v)
{
	struct sealift_rxe_res *res;

	if (!v->qp.num_res)
		return;
	res = &v->res[any(v->qp.num_res)];
	res->type = any(5);
	res->first_psn = (v->qp.resp.psn - 1 - any(8)) & 0xffffff;
	res->last_psn = any(2) ? res->first_psn :
				     (res->first_psn + any(8)) & 0xffffff;
	res->rkey = any(2) ? any(0x10000) : interesting();
	res->va = interesting();
	res->length = interesting();
	res->flush_type = any(4);
	res->flush_level = any(3);
	v->qp.resp.res_head = any(5);
}

/* state, and what comes with it */
static void fuzz_state(struct victim *v)
{
	v->qp.state = any(8);
	v->qp.attr.port_num = any(2);
	v->qp.attr.max_rd_atomic = 1 << any(8);
	v->qp.attr.sq_draining = any(2);
	v->qp.req.rd_atomic = any(8);
	v->qp.flags = any(2);
}

/* the oldest request and what is said of it */
static void fuzz_requester(struct victim *v)
{
	v->qp.comp.psn = (v->qp.comp.psn + any(9) - 4) & 0xffffff;
	v->qp.req.psn = (v->qp.req.psn + any(9) - 4) & 0xffffff;
	v->qp.req.opcode = any(0x20);
	v->qp.comp.opcode = any(2) ? SEALIFT_RXE_NONE : 0x0c + any(3);
	v->qp.comp.rnr_wait = any(2) ? any(1000) : interesting();
	v->qp.comp.nak_syndrome = any(2) ? 0 : 0x60 + any(5);
	v->qp.comp.nak_psn = v->qp.comp.nak_syndrome ?
			     (v->qp.comp.psn + any(4)) & 0xffffff : 0;
	v->qp.req.wqe_index = (v->qp.sq.index + any(4)) &
			      v->qp.sq.index_mask;
}

static void fuzz_bytes(struct victim *v)
{
	unsigned int n = 1 + any(3);
	unsigned char *at;

	while (n--) {
		switch (any(4)) {
		case 0:
			at = v->sq + any(v->qp_orig.sq.size);
			break;
		case 1:
			if (!v->qp_orig.rq.size)
				continue;
			at = v->rq + any(v->qp_orig.rq.size);
			break;
		case 2:
			at = (unsigned char *)v->res + any(v->qp_orig.num_res * sizeof(*v->res));
			break;
		default:
			at = (unsigned char *)&v->qp + any(sizeof(v->qp));
		}
		*at = any(3) ? any(256) : *at ^ 1U << any(8);
	}
}

void malformed_fuzz(struct victim *v, unsigned int rounds)
{
	static void (*const ways[])(struct victim *v) = {
		fuzz_bytes, fuzz_message, fuzz_cache, fuzz_state, fuzz_requester,
		malformed_share,
	};
	unsigned int i, accepted = 0, wrong = 0;
	const char *broken;
	uint32_t handle;

	for (i = 0; i < rounds; i++) {
		ways[any(ARRAY_SIZE(ways))](v);
		if (any(4) == 0)
			ways[any(ARRAY_SIZE(ways))](v);
		broken = rxe_image_broken_limit(&v->qp);
		if (!broken)
			broken = rxe_image_broken_rule(&v->qp);
		if (!broken)
			broken = rxe_image_broken_taken(&v->qp,
							v->max_recv_sge);
		if (!victim_restore(v, &handle)) {
			accepted++;
			if (broken) {
				wrong++;
				printf("# accepted: %s\n", broken);
			}
			sl_resume(v->fd);
			usleep(2000);
			if (sl_hold(v->fd, TIMER, 5000))
				errx(1, "HOLD");
			raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
		}
		victim_reset(v);
	}
	expect(0, wrong, "random images: %u of %u accepted", accepted, rounds);
}

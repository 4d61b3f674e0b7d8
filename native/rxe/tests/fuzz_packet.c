// SPDX-License-Identifier: GPL-2.0
/* Packets that the state in the image makes matter: the next one, the one before, one that is cached. */
#include "fuzz.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define PSN(n) ((n) & RXE_IMAGE_PSN_MAX)

static uint32_t payload(const struct fuzz *f)
{
	uint32_t mtu = f->v.qp.attr.path_mtu;

	if (any(4) == 0)
		return any(WIRE_MTU + 1);
	mtu = mtu && mtu < 4 ? 128u << mtu : WIRE_MTU;
	return any(4) ? mtu : 0;
}

/* an entry of the cache, asked for again */
static void repeat(const struct fuzz *f, struct wire_packet *p)
{
	static const uint8_t opcodes[] = {
		WIRE_READ, WIRE_READ, WIRE_FETCH_ADD, WIRE_ATOMIC_WRITE,
		WIRE_FLUSH,
	};
	const struct sealift_rxe_res *res;

	if (!f->v.qp_orig.num_res)
		return;
	res = &f->v.res[any(f->v.qp_orig.num_res)];
	p->opcode = opcodes[res->type < 5 && any(8) ? res->type : any(5)];
	p->psn = PSN(any(4) ? res->first_psn : res->last_psn);
	p->va = res->va;
	p->rkey = res->rkey ? res->rkey : f->memory.key;
	p->length = res->length;
	if (p->opcode == WIRE_READ && p->psn != PSN(res->first_psn))
		p->va += res->length - any(res->length ? res->length : 1);
	if (any(4) == 0)
		p->length = any(4) ? any(f->memory.size) : interesting();
	p->size = p->opcode == WIRE_ATOMIC_WRITE ? 8 : 0;
}

/* what comes next, given the last opcode */
static void go_on(const struct fuzz *f, struct wire_packet *p)
{
	uint32_t last = f->v.qp.resp.opcode;

	p->psn = PSN(f->v.qp.resp.psn + (any(4) ? 0 : any(9) - 4));
	if (rxe_image_in_send(last) && any(8))
		p->opcode = WIRE_SEND_MIDDLE + any(3);
	else if (rxe_image_in_write(last) && any(8))
		p->opcode = WIRE_WRITE_MIDDLE + any(3);
	else
		p->opcode = any(0x20);
	p->size = payload(f);
	p->length = any(2) ? p->size : any(4) ? any(f->memory.size) : 0;
	p->flush = any(64);
	p->swap_add = interesting();
}

static void request(struct fuzz *f, struct wire_packet *p)
{
	p->va = any(8) ? f->memory.address + any(f->memory.size) : interesting();
	p->rkey = any(8) ? f->memory.key : interesting();
	if (any(3) == 0)
		repeat(f, p);
	else
		go_on(f, p);
}

static void response(struct fuzz *f, struct wire_packet *p)
{
	static const uint8_t syndromes[] = {
		WIRE_OK, WIRE_OK, WIRE_RNR | 1, WIRE_RNR | 31,
		WIRE_NAK_SEQUENCE, WIRE_NAK_INVALID, WIRE_NAK_ACCESS,
		WIRE_NAK_OPERATION,
	};
	uint32_t sent = PSN(f->v.qp.req.psn - f->v.qp.comp.psn);

	p->opcode = WIRE_READ_FIRST + any(6);
	p->syndrome = any(8) ? syndromes[any(8)] : any(256);
	p->psn = PSN(f->v.qp.comp.psn + any((sent & 0xff) + 2) - any(2));
	p->compare = interesting();
	p->msn = PSN(interesting());
	if (p->opcode < WIRE_ACK)
		p->size = payload(f);
}

static void datagram(struct fuzz *f, struct wire_packet *p)
{
	p->opcode = any(8) ? WIRE_UD_SEND + any(2) : any(256);
	p->psn = PSN(any(2) ? f->v.qp.resp.psn : interesting());
	p->qkey = any(8) ? f->v.qp.attr.qkey : interesting();
	p->src_qpn = PSN(interesting());
	p->immediate = interesting();
	p->size = any(WIRE_MTU + 1);
}

void fuzz_packet(struct fuzz *f)
{
	struct wire_packet p = {
		.qpn = PSN(f->v.qp.qpn),
		.ack_req = any(2),
	};

	if (f->v.qp_orig.qp_type == RXE_IMAGE_UD)
		datagram(f, &p);
	else if (any(2))
		request(f, &p);
	else
		response(f, &p);
	wire_send(&f->s.wire, &p);
	f->counts->packets++;
}

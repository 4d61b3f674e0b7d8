/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules that hold in the image of a UD queue pair, beside those that hold in
 * every queue pair's, and in the image of an address handle. Included by
 * rxe_sealift_invariants.h.
 */
#ifndef RXE_SEALIFT_INVARIANTS_UD_H
#define RXE_SEALIFT_INVARIANTS_UD_H

#define RXE_IMAGE_AH_MAX	32767	/* of the driver's numbers for handles */

/* Opcodes of datagrams (InfiniBand specification 9.2). */
enum {
	RXE_IMAGE_UD_SEND = 0x64, RXE_IMAGE_UD_SEND_IMM = 0x65,
};

static inline int rxe_image_is_datagram(__u32 opcode)
{
	return opcode == SEALIFT_RXE_NONE || opcode == RXE_IMAGE_UD_SEND ||
	       opcode == RXE_IMAGE_UD_SEND_IMM;
}

/* What belongs to a connection, of which a UD queue pair has none. */
static inline int rxe_image_has_connection(const struct sealift_rxe_qp_attr *in)
{
	return in->dest_qpn || in->rq_psn || in->access_flags || in->timeout ||
	       in->retry_cnt || in->rnr_retry || in->min_rnr_timer ||
	       in->max_rd_atomic || in->max_dest_rd_atomic ||
	       in->path_mig_state || in->av.present;
}

static inline const char *
rxe_image_broken_datagrams(const struct sealift_rxe_qp *in)
{
	const struct sealift_rxe_resp *resp = &in->resp;
	const struct sealift_rxe_comp *comp = &in->comp;

	if (rxe_image_has_connection(&in->attr))
		return "datagrams have no connection";
	if (in->num_res || resp->res_head)
		return "datagrams have no replay cache";
	if (in->req.rd_atomic || in->req.noack_pkts || in->req.ssn)
		return "datagrams have no answers";
	if (comp->opcode != SEALIFT_RXE_NONE || comp->retry_cnt ||
	    comp->rnr_retry || comp->started_retry || comp->rnr_wait ||
	    comp->nak_psn || comp->nak_syndrome)
		return "no datagram waits for an answer";
	if (!rxe_image_is_datagram(in->req.opcode) ||
	    !rxe_image_is_datagram(resp->opcode))
		return "datagrams have datagrams' opcodes";
	if (resp->wqe.present || resp->va || resp->offset || resp->resid ||
	    resp->rkey || resp->length || resp->sent_psn_nak)
		return "no datagram arrives in parts";

	return rxe_image_broken_share(in);
}

#define RXE_IMAGE_AH_LIMIT(_field, _max)				\
	RXE_IMAGE_LIMIT_OF(struct sealift_rxe_ah, _field, _max)

static const struct rxe_image_limit rxe_image_ah_limits[] = {
	RXE_IMAGE_AH_LIMIT(number, RXE_IMAGE_AH_MAX),
	RXE_IMAGE_AH_LIMIT(av.flow_label, 0xfffff),
	RXE_IMAGE_AH_LIMIT(av.sl, 0),
	RXE_IMAGE_AH_LIMIT(av.network_type, 2),
	RXE_IMAGE_AH_LIMIT(av.present, 1),
	{ .field = NULL },
};

static inline const char *
rxe_image_ah_broken_limit(const struct sealift_rxe_ah *in)
{
	return rxe_image_beyond(rxe_image_ah_limits, in);
}

static inline const char *
rxe_image_ah_broken_rule(const struct sealift_rxe_ah *in)
{
	if (!in->av.present)
		return "a handle has a path";
	if (!in->av.network_type)
		return "a path has a family";

	return NULL;
}

#endif /* RXE_SEALIFT_INVARIANTS_UD_H */

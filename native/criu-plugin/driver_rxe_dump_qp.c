// SPDX-License-Identifier: GPL-2.0
/* The image's record of a queue pair. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver_rxe_methods.h"
#include "driver_rxe_record.h"
#include "log.h"

#define QPT_RC 2
#define QPT_UD 4

static int check_qp(const struct sealift_rxe_qp *qp)
{
	if (qp->qp_type != QPT_RC && qp->qp_type != QPT_UD) {
		log_fail("unsupported",
			 "queue pair %#x is of type %u; only reliable connections (RC) and datagrams (UD) can move, destroy it first",
			 qp->qpn, qp->qp_type);
		return -EOPNOTSUPP;
	}
	if (qp->num_mcast) {
		log_fail("unsupported",
			 "queue pair %#x is in a multicast group; let it leave the group first",
			 qp->qpn);
		return -EOPNOTSUPP;
	}
	return 0;
}

static void fill_qp(PB(QueuePair) *record, uint32_t handle, const struct sealift_rxe_qp *qp)
{
	record->handle = handle;
	record->qpn = qp->qpn;
	record->type = qp->qp_type;
	record->state = qp->state;
	record->user_handle = qp->user_handle;
	record->pd = qp->pd_handle;
	record->send_cq = qp->send_cq_handle;
	record->recv_cq = qp->recv_cq_handle;
	record->sq_sig_all = qp->sq_sig_all;
	record->max_send_wr = qp->max_send_wr;
	record->max_send_sge = qp->max_send_sge;
	record->max_inline = qp->max_inline;
	record->max_recv_wr = qp->max_recv_wr;
	record->max_recv_sge = qp->max_recv_sge;
	record->has_srq = qp->srq_handle != SEALIFT_RXE_NONE;
	record->srq = record->has_srq ? qp->srq_handle : 0;
}

int rxe_record_qp(int fd, uint32_t handle, PB(Context) *context, struct rings *rings,
		  struct async_events *events)
{
	struct sealift_rxe_qp_buffers none = {}, buffers = {};
	struct sealift_rxe_qp qp;
	PB(QueuePair) *record;
	int ret;

	ret = rxe_dump_qp(fd, handle, &none, &qp);
	if (ret)
		return ret;
	ret = check_qp(&qp);
	if (ret)
		return ret;
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__queue_pair__init(record);
	ret = image_append(&context->qps, &context->n_qps, record);
	if (ret) {
		free(record);
		return ret;
	}
	record->driver = rxe_new_state(&qp, sizeof(qp), 3);
	if (!record->driver)
		return -ENOMEM;
	ret = rxe_reserve(record->driver, 0, qp.sq.size, &buffers.sq);
	if (!ret)
		ret = rxe_reserve(record->driver, 1, qp.rq.size, &buffers.rq);
	if (!ret)
		ret = rxe_reserve(record->driver, 2, qp.num_res * sizeof(struct sealift_rxe_res),
			      &buffers.res);
	if (!ret)
		ret = rxe_dump_qp(fd, handle, &buffers, &qp);
	if (ret)
		return ret;
	memcpy(record->driver->state.data, &qp, sizeof(qp));
	events->objects += __builtin_popcount(qp.async_pending);
	fill_qp(record, handle, &qp);
	if (qp.attr.av.present) {
		record->path = rxe_new_path(&qp.attr.av, qp.attr.port_num, qp.attr.dest_qpn);
		if (!record->path)
			return -ENOMEM;
	}
	ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__SQ, handle, &qp.sq);
	if (!ret)
		ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__RQ, handle, &qp.rq);
	return ret;
}

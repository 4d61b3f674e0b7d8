// SPDX-License-Identifier: GPL-2.0
/* The image's record of a queue pair. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver_rxe_methods.h"
#include "driver_rxe_record.h"
#include "driver_rxe_ring.h"
#include "driver_rxe_thin.h"
#include "log.h"
#include "pack.h"

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

/* Replace @bytes by their packed form. */
static int pack_bytes(ProtobufCBinaryData *bytes)
{
	uint8_t *packed = malloc(PACK_ROOM(bytes->len));

	if (!packed)
		return -ENOMEM;
	bytes->len = pack(bytes->data, bytes->len, packed);
	free(bytes->data);
	bytes->data = packed;
	return 0;
}

static int pack_qp(PB(QueuePair) *record, struct sealift_rxe_qp *qp)
{
	ProtobufCBinaryData *state = &record->driver->state, *buffers = record->driver->buffers;
	int ret;

	ret = rxe_pack_ring(&buffers[0], &qp->sq);
	if (!ret)
		ret = rxe_pack_ring(&buffers[1], &qp->rq);
	if (ret)
		return ret;
	rxe_thin_qp(qp, record->path);
	memcpy(state->data, qp, sizeof(*qp));
	ret = pack_bytes(state);
	/* the replay cache: empty, if nobody reads */
	return ret ? ret : pack_bytes(&buffers[2]);
}

int rxe_record_qp(int fd, uint32_t handle, PB(Context) *context, struct rings *rings)
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
	rxe_record_fields(record, handle, &qp);
	if (qp.attr.av.present) {
		record->path = rxe_new_path(&qp.attr.av, qp.attr.port_num, qp.attr.dest_qpn);
		if (!record->path)
			return -ENOMEM;
	}
	ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__SQ, handle, &qp.sq);
	if (!ret)
		ret = rxe_add_ring(rings, SEALIFT__IBVERBS__RING__RQ, handle, &qp.rq);
	return ret ? ret : pack_qp(record, &qp);
}

// SPDX-License-Identifier: GPL-2.0
/* What an image says of a shared receive queue, and what the driver makes of it. */
#include "mutate.h"

#include <string.h>

#include "random.h"
#include "../src/rxe_sealift_invariants.h"

void mutate_share(struct victim *v)
{
	switch (any(6)) {
	case 0:
		v->qp.srq_handle = any(2) ? SEALIFT_RXE_NONE : interesting();
		break;
	case 1:
		v->qp.state = RXE_IMAGE_ERR;
		v->qp.last_wqe_reached = any(2);
		if (any(2))
			memset(&v->qp.resp.wqe, 0, sizeof(v->qp.resp.wqe));
		break;
	case 2:
		v->qp.last_wqe_reached = any(3);
		break;
	case 3:
		v->qp.resp.wqe.num_sge = any(SEALIFT_RXE_MAX_SGE + 2);
		break;
	case 4:
		v->qp.max_recv_wr = any(3);
		v->qp.max_recv_sge = any(3);
		break;
	default:
		v->qp.rq.size = any(2) ? 0 : interesting();
	}
}

// SPDX-License-Identifier: GPL-2.0
#include "send_ring.h"

#include <stddef.h>

#include <rdma/rdma_user_rxe.h>

#define STATE_ERROR 4	/* rxe_verbs.h */

static struct rxe_send_wqe *request(void *ring, uint32_t index)
{
	struct rxe_queue_buf *head = ring;

	return (void *)(head->data + ((size_t)index << head->log2_elem_size));
}

void send_ring_set_error(void *ring, uint32_t index)
{
	struct rxe_send_wqe *wqe = request(ring, index);

	wqe->status = 0;
	wqe->state = STATE_ERROR;
}

void send_ring_set_read(void *ring, uint32_t index)
{
	request(ring, index)->has_rd_atomic = 1;
}

// SPDX-License-Identifier: GPL-2.0
#include "recv_ring.h"

#include <stddef.h>

#include <rdma/rdma_user_rxe.h>

static struct rxe_recv_wqe *request(void *ring, uint32_t index)
{
	struct rxe_queue_buf *head = ring;

	return (void *)(head->data + ((size_t)(index & head->index_mask) <<
				      head->log2_elem_size));
}

uint32_t recv_ring_oldest(const void *ring)
{
	const struct rxe_queue_buf *head = ring;

	return __atomic_load_n(&head->consumer_index, __ATOMIC_ACQUIRE);
}

void recv_ring_elements(void *ring, uint32_t index, uint32_t num, uint32_t at)
{
	struct rxe_recv_wqe *wqe = request(ring, index);

	wqe->dma.num_sge = num;
	wqe->dma.cur_sge = at;
}

void recv_ring_flip(void *ring, const uint32_t *index, uint32_t a, uint32_t b,
		    const int *stop)
{
	struct rxe_recv_wqe *wqe;
	unsigned int i;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		wqe = request(ring, __atomic_load_n(index, __ATOMIC_RELAXED));
		for (i = 0; i < 1000; i++) {
			__atomic_store_n(&wqe->dma.num_sge, a, __ATOMIC_RELAXED);
			__atomic_store_n(&wqe->dma.num_sge, b, __ATOMIC_RELAXED);
		}
	}
}

uint32_t recv_ring_fill(void *ring)
{
	struct rxe_queue_buf *head = ring;

	head->producer_index = head->index_mask;
	return head->index_mask - 1;
}

void recv_ring_post(void *ring, uint32_t length, uint32_t resid)
{
	struct rxe_queue_buf *head = ring;
	struct rxe_recv_wqe *wqe = request(ring, head->producer_index);

	wqe->dma.length = length;
	wqe->dma.resid = resid;
	wqe->dma.num_sge = 1;
	wqe->dma.cur_sge = 0;
	wqe->dma.sge_offset = 0;
	wqe->dma.sge[0].length = length;
	head->producer_index = (head->producer_index + 1) & head->index_mask;
}

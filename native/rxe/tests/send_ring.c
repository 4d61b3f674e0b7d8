// SPDX-License-Identifier: GPL-2.0
#include "send_ring.h"

#include <string.h>
#include <sys/socket.h>

#include <rdma/rdma_user_rxe.h>

#define STATE_DONE	3	/* rxe_verbs.h */
#define STATE_ERROR	4
#define OPCODE_REG_MR	0x20
#define OPCODE_ATOMIC_WRITE 15
#define FLAG_INLINE	(1 << 3)
#define FAR		0x10000000

static struct rxe_send_wqe *request(void *ring, uint32_t index)
{
	struct rxe_queue_buf *head = ring;

	return (void *)(head->data + ((size_t)index << head->log2_elem_size));
}

void send_ring_change(void *ring, uint32_t index, enum send_ring_change change)
{
	struct rxe_send_wqe *wqe = request(ring, index);

	switch (change) {
	case SEND_RING_ERROR:
		wqe->status = 0;
		wqe->state = STATE_ERROR;
		break;
	case SEND_RING_COUNTED:
		wqe->has_rd_atomic = 1;
		break;
	case SEND_RING_OPCODE:
		wqe->wr.opcode = FAR;
		break;
	case SEND_RING_REG_MR:
		wqe->wr.opcode = OPCODE_REG_MR;
		wqe->wr.wr.rdma.remote_addr = 8;	/* the same place */
		break;
	case SEND_RING_INLINE:
		wqe->wr.send_flags |= FLAG_INLINE;
		wqe->dma.sge_offset = FAR;
		break;
	case SEND_RING_ATOMIC_WRITE:
		wqe->wr.opcode = OPCODE_ATOMIC_WRITE;
		break;
	case SEND_RING_ELEMENT:
		wqe->dma.cur_sge = FAR / 16;
		wqe->dma.num_sge = FAR;
		break;
	}
}

void send_ring_producer(void *ring, uint32_t producer, uint32_t keep)
{
	struct rxe_queue_buf *head = ring;
	uint32_t i;

	for (i = 0; i <= head->index_mask; i++)
		if (i != keep)
			request(ring, i)->state = STATE_DONE;
	__atomic_store_n(&head->producer_index, producer, __ATOMIC_RELEASE);
}

void send_ring_flip_window(void *ring, uint64_t a, uint64_t b, const int *stop)
{
	struct rxe_queue_buf *head = ring;
	struct rxe_send_wqe *wqe;
	uint32_t i;

	for (i = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); i++) {
		wqe = request(ring, i & head->index_mask);
		__atomic_store_n(&wqe->wr.wr.mw.length, a, __ATOMIC_RELAXED);
		__atomic_store_n(&wqe->wr.wr.mw.length, b, __ATOMIC_RELAXED);
	}
}

static void set_address(struct sockaddr_in *at, const uint8_t *gid)
{
	at->sin_family = AF_INET;
	memcpy(&at->sin_addr, gid + 12, sizeof(at->sin_addr));
}

void send_ring_path(void *ring, uint32_t index,
		    const struct sealift_rxe_av *path)
{
	struct rxe_send_wqe *wqe = request(ring, index);
	struct rxe_av *av;

	wqe->wr.wr.ud.ah_num = 0;
	av = &wqe->wr.wr.ud.av;
	memset(av, 0, sizeof(*av));
	av->port_num = 1;
	av->network_type = path->network_type;
	memcpy(av->dmac, path->dmac, sizeof(av->dmac));
	memcpy(av->grh.dgid.raw, path->dgid, sizeof(path->dgid));
	av->grh.sgid_index = path->sgid_index;
	av->grh.hop_limit = path->hop_limit;
	set_address(&av->sgid_addr._sockaddr_in, path->sgid);
	set_address(&av->dgid_addr._sockaddr_in, path->dgid);
}

void send_ring_index(void *ring, int is_producer, uint32_t value)
{
	struct rxe_queue_buf *head = ring;

	if (is_producer)
		head->producer_index = value;
	else
		head->consumer_index = value;
}

void send_ring_poke(void *ring, size_t size, size_t offset, uint8_t value)
{
	struct rxe_queue_buf *head = ring;

	if (size > sizeof(*head))
		head->data[offset % (size - sizeof(*head))] = value;
}

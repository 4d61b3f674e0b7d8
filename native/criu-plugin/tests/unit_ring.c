// SPDX-License-Identifier: GPL-2.0
/* Queues come back byte by byte, in few bytes if programs have filled them, in no more than they are if anything else has; what is malformed is refused. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/rdma_user_rxe.h>

#include "driver_rxe_record.h"
#include "driver_rxe_ring.h"
#include "unit.h"

#define SLOTS 128	/* of a queue for 64 requests */
#define SEND_LOG2 8
#define RECV_LOG2 6
#define MOST 9000

/* A block of its own, so that what is done beyond it is noticed. */
static ProtobufCBinaryData copy_of(const void *data, size_t size)
{
	ProtobufCBinaryData copy = { .len = size, .data = malloc(size ? size : 1) };

	memcpy(copy.data, data, size);
	return copy;
}

/* Packs @data, which must come back, and returns how many bytes it takes. */
static size_t comes_back(const uint8_t *data, const struct sealift_rxe_ring *ring)
{
	ProtobufCBinaryData packed = copy_of(data, ring->size);
	struct rxe_ring_bytes bytes;
	size_t size;

	CHECK(!rxe_pack_ring(&packed, ring) && packed.len <= ring->size);
	CHECK(!rxe_unpack_ring(&packed, ring, ring->size, &bytes) && bytes.buffer.size == ring->size);
	CHECK(!ring->size || !memcmp((void *)(uintptr_t)bytes.buffer.address, data, ring->size));
	CHECK(ring->size || (!bytes.buffer.address && !bytes.memory));
	size = packed.len;
	free(bytes.memory);
	free(packed.data);
	return size;
}

/* The driver's header of a queue, then its elements. */
static uint8_t *new_queue(struct sealift_rxe_ring *ring, unsigned int log2_elem_size, unsigned int index)
{
	struct rxe_queue_buf *buf;

	*ring = (struct sealift_rxe_ring){
		.size = sizeof(*buf) + (SLOTS << log2_elem_size), .log2_elem_size = log2_elem_size,
		.index_mask = SLOTS - 1, .index = index % SLOTS,
	};
	buf = calloc(1, ring->size);
	buf->log2_elem_size = log2_elem_size;
	buf->index_mask = SLOTS - 1;
	buf->producer_index = buf->consumer_index = ring->index;
	return (uint8_t *)buf;
}

static void post_send(uint8_t *queue, unsigned int nth)
{
	struct rxe_send_wqe *wqe = (void *)(queue + sizeof(struct rxe_queue_buf) + ((nth % SLOTS) << SEND_LOG2));

	*wqe = (struct rxe_send_wqe){
		.wr = { .wr_id = 0x7f3a10000000 + nth * 320, .send_flags = 2, .wr.rdma.rkey = 0x4711,
			.wr.rdma.remote_addr = 0x7f8800000000 + nth * 4096 },
		.state = 3, .mask = 0x46, .first_psn = 0x123456 + 4 * nth, .last_psn = 0x123459 + 4 * nth, .ssn = nth,
		.iova = 0x7f8800000000 + nth * 4096, .dma = { .length = 4096, .cur_sge = 1, .num_sge = 1, .sge_offset = 4096 },
	};
	wqe->dma.sge[0] = (struct rxe_sge){ .addr = 0x7f6600000000 + nth * 4096, .length = 4096, .lkey = 0x1234 };
}

static void post_recv(uint8_t *queue, unsigned int nth)
{
	struct rxe_recv_wqe *wqe = (void *)(queue + sizeof(struct rxe_queue_buf) + ((nth % SLOTS) << RECV_LOG2));

	*wqe = (struct rxe_recv_wqe){
		.wr_id = 0x7f3a20000000 + nth * 320, .dma = { .length = 4096, .resid = 4096, .num_sge = 1 },
	};
	wqe->dma.sge[0] = (struct rxe_sge){ .addr = 0x7f5500000000 + nth * 4096, .length = 4096, .lkey = 0x1234 };
}

/* Both queues of a pair, each as one byte after the other. */
static void filled(unsigned int requests, size_t most)
{
	struct sealift_rxe_ring sq, rq;
	uint8_t *sends = new_queue(&sq, SEND_LOG2, requests), *recvs = new_queue(&rq, RECV_LOG2, requests);
	size_t bytes;

	CHECK(sizeof(struct rxe_send_wqe) + sizeof(struct rxe_sge) <= 1 << SEND_LOG2);
	CHECK(sizeof(struct rxe_recv_wqe) + sizeof(struct rxe_sge) <= 1 << RECV_LOG2);
	for (unsigned int nth = 0; nth < requests; nth++) {
		post_send(sends, nth);
		post_recv(recvs, nth);
	}
	bytes = comes_back(sends, &sq) + comes_back(recvs, &rq);
	CHECK(bytes <= most);
	if (bytes > most || getenv("V"))
		fprintf(stderr, "two queues that have had %u requests take %zu bytes instead of %u\n", requests, bytes,
			sq.size + rq.size);
	free(sends);
	free(recvs);
}

/* As they are: nothing is gained. A ring that has only a few such bytes is. */
static void noise(void)
{
	uint8_t data[MOST];
	struct sealift_rxe_ring ring = { .size = MOST, .log2_elem_size = 6 };

	for (size_t i = 0; i < MOST; i++)
		data[i] = 1 + random() % 255;
	CHECK(comes_back(data, &ring) == MOST);
	for (ring.size = 0; ring.size < 30; ring.size++)
		CHECK(comes_back(data, &ring) == ring.size);
	memset(data + MOST / 2, 0, MOST - MOST / 2);
	ring.size = MOST;
	CHECK(comes_back(data, &ring) < MOST * 2 / 3);
}

static void fill(uint8_t *data, size_t size)
{
	unsigned int density = random() % 256, period = 1 + random() % 300;

	for (size_t i = 0; i < size; i++) {
		data[i] = random() % 256 < density ? random() : 0;
		if (i >= period && random() % 8)
			data[i] = data[i - period];
	}
}

/* What an altered one is said to be, if it is taken: bytes that come back as well. */
static void alter(const ProtobufCBinaryData *packed, const struct sealift_rxe_ring *ring)
{
	ProtobufCBinaryData altered = { .data = malloc(packed->len + 9) };
	struct rxe_ring_bytes bytes;
	int ret;

	memcpy(altered.data, packed->data, packed->len);
	altered.len = packed->len;
	if (random() % 2)
		altered.len = random() % (packed->len + 9);
	for (size_t i = packed->len; i < altered.len; i++)
		altered.data[i] = random();
	for (int n = random() % 4; n && altered.len; n--)
		altered.data[random() % altered.len] = random() % 2 ? random() : 0;
	altered.data = realloc(altered.data, altered.len ? altered.len : 1);
	ret = rxe_unpack_ring(&altered, ring, ring->size, &bytes);
	CHECK(!ret || ret == -EINVAL);
	if (!ret)
		comes_back((void *)(uintptr_t)bytes.buffer.address, ring);
	free(bytes.memory);
	free(altered.data);
}

static void any_queue(void)
{
	uint8_t data[MOST];

	for (int round = 0; round < 3000; round++) {
		struct sealift_rxe_ring ring = { .size = 1 + random() % MOST, .log2_elem_size = random() % 40 };
		ProtobufCBinaryData packed;

		fill(data, ring.size);
		comes_back(data, &ring);
		packed = copy_of(data, ring.size);
		CHECK(!rxe_pack_ring(&packed, &ring));
		alter(&packed, &ring);
		free(packed.data);
	}
}

static void says(uint8_t *data, size_t len, const struct sealift_rxe_ring *ring, uint32_t room, int wanted)
{
	ProtobufCBinaryData packed = copy_of(data, len);
	struct rxe_ring_bytes bytes;

	CHECK(rxe_unpack_ring(&packed, ring, room, &bytes) == wanted);
	free(bytes.memory);
	free(packed.data);
}

static void refused(void)
{
	uint8_t zeros[] = { 0, 255, 0, 255, 0, 255, 0, 255 };
	struct sealift_rxe_ring ring = { .size = 8192, .log2_elem_size = 6 };

	says(zeros, 8, &ring, 8192, 0);
	says(zeros, 8, &ring, 12288, 0);
	/* larger than what was created, however few bytes say so */
	says(zeros, 8, &ring, 8191, -EINVAL);
	says(zeros, 8, &ring, 0, -EINVAL);
	says(zeros, 7, &ring, 8192, -EINVAL);
	says(zeros, 6, &ring, 8192, -EINVAL);
	says(zeros, 0, &ring, 8192, -EINVAL);
	ring.size = 8184;
	says(zeros, 8, &ring, 8192, -EINVAL);
	/* the last group in part */
	ring.size = 8185;
	says(zeros, 8, &ring, 8192, 0);
	ring.size = 8193;
	says(zeros, 8, &ring, 12288, -EINVAL);
	/* no element is as large; the offset from the one before must not overflow */
	ring.size = 8192;
	for (uint32_t log2 = 0; log2; log2 += log2 < 70 ? 1 : 0x10000001)
		says(zeros, 8, &(struct sealift_rxe_ring){ .size = 8192, .log2_elem_size = log2 }, 8192, 0);
	ring.size = RXE_MAX_RING_BYTES + 1;
	says(zeros, 8, &ring, UINT32_MAX, -EINVAL);
	ring.size = UINT32_MAX;
	says(zeros, 8, &ring, UINT32_MAX, -EINVAL);
	/* more than there is room for; a queue pair that shares its receive queue has none */
	ring.size = 4;
	says(zeros, 8, &ring, 8192, -EINVAL);
	ring.size = 0;
	says(zeros, 8, &ring, 8192, -EINVAL);
	says(zeros, 0, &ring, 0, 0);
}

/* The largest there is: random, it stays; else it is packed, and no byte is looked at twice. */
static void largest(void)
{
	struct sealift_rxe_ring ring = { .size = RXE_MAX_RING_BYTES, .log2_elem_size = 10 };
	uint8_t *data = calloc(1, ring.size);

	CHECK(comes_back(data, &ring) == ring.size / 2048 * 2);
	data[ring.size - 1] = 1;
	CHECK(comes_back(data, &ring) <= ring.size / 2048 * 2 + 4);
	free(data);
}

void unit_ring(void)
{
	srandom(11);
	filled(0, 100);
	filled(1, 300);
	filled(SLOTS / 2, 2600);
	filled(10 * SLOTS + 7, 5000);
	noise();
	any_queue();
	refused();
	largest();
}

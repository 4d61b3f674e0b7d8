// SPDX-License-Identifier: GPL-2.0
/* Packed bytes come back; what is malformed is refused; an idle queue pair takes few bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver_rxe_thin.h"
#include "pack.h"
#include "unit.h"

#define SIZE 3001

static void round_trip(const uint8_t *in, size_t size)
{
	uint8_t packed[PACK_ROOM(SIZE)], out[SIZE];
	size_t length = pack(in, size, packed);

	CHECK(length <= PACK_ROOM(size));
	memset(out, 0x5a, sizeof(out));
	CHECK(!unpack(packed, length, out, size) && !memcmp(in, out, size));
	CHECK(!length || unpack(packed, length - 1, out, size) == -EINVAL);
	CHECK(unpack(packed, length, out, size + 8 < SIZE ? size + 8 : 1) == -EINVAL);
	packed[length] = 0;
	CHECK(unpack(packed, length + 1, out, size) == -EINVAL);
}

static void round_trip_elements(const uint8_t *in, size_t size, size_t stride)
{
	uint8_t packed[PACK_ROOM(SIZE)], *small, *out;
	size_t length = pack_elements(in, size, stride, packed, sizeof(packed));

	/* blocks of just that size, so that what is done beyond them is noticed */
	out = malloc(size + 1);
	CHECK(length && !unpack_elements(packed, length, out, size, stride) && !memcmp(in, out, size));
	CHECK(unpack_elements(packed, length - 1, out, size, stride) == -EINVAL);
	free(out);
	for (size_t room = 0; room < length; room += 1 + room / 2) {
		small = malloc(room + 1);
		CHECK(!pack_elements(in, size, stride, small, room));
		free(small);
	}
	small = malloc(length + 8);
	CHECK(pack_elements(in, size, stride, small, length + 8) == length && !memcmp(small, packed, length));
	free(small);
}

/* What resembles the element before takes the bytes that differ. */
static void elements(void)
{
	uint8_t in[SIZE] = {};

	for (size_t stride = 8; stride <= 1024; stride *= 2) {
		uint8_t packed[SIZE];

		for (size_t i = 0; i < SIZE; i++)
			in[i] = random();
		for (size_t size = 1; size < 60; size++)
			round_trip_elements(in, size, stride);
		round_trip_elements(in, SIZE, stride);
		for (size_t i = stride; i < SIZE; i++)
			in[i] = in[i - stride] ^ (i % stride == 4);
		for (size_t size = stride; size < stride + 60; size++)
			round_trip_elements(in, size, stride);
		round_trip_elements(in, SIZE, stride);
		/* the first as it is, a mask and a byte of each other one, and of a longer one the zeros */
		CHECK(pack_elements(in, SIZE, stride, packed, SIZE) <= PACK_ROOM(stride) + (2 + (stride > 8) * 4) * (SIZE / stride));
	}
	round_trip_elements(in, SIZE, 0);
	round_trip_elements(in, SIZE, SIZE / 8 * 8);
	round_trip_elements(in, SIZE, (size_t)1 << 31);
}

static void any_bytes(void)
{
	uint8_t in[SIZE] = {};

	srandom(7);
	for (size_t size = 0; size < 40; size++)
		round_trip(in, size);
	round_trip(in, SIZE - 8);
	for (int round = 0; round < 300; round++) {
		size_t size = random() % (SIZE - 8);

		for (size_t i = 0; i < SIZE; i++)
			in[i] = random() % 16 < round % 17 ? random() : 0;
		round_trip(in, size);
	}
	memset(in, 0xff, SIZE);
	round_trip(in, SIZE - 8);
}

/* RC, connected over IPv4, with what an application sets and the driver has counted; 16 READs may come. */
static void fill_idle(struct sealift_rxe_qp *qp)
{
	*qp = (struct sealift_rxe_qp){
		.user_handle = 0x7f12345678a0, .qpn = 0x123, .qp_type = 2, .state = 3, .pd_handle = 1, .send_cq_handle = 7,
		.recv_cq_handle = 8, .srq_handle = SEALIFT_RXE_NONE, .max_send_wr = 127, .max_send_sge = 4,
		.max_inline = 512, .max_recv_wr = 511, .max_recv_sge = 4, .src_port = 0xd2f1, .num_res = 16,
		.sq = { .mmap_offset = 0x123000, .mmap_size = 0x20000, .size = 0x1f180, .log2_elem_size = 10, .index_mask = 127,
			.index = 12 },
		.rq = { .mmap_offset = 0x145000, .mmap_size = 0x10000, .size = 0xf180, .log2_elem_size = 7, .index_mask = 511,
			.index = 33 },
		.attr = { .path_mtu = 5, .active_mtu = 5, .dest_qpn = 0x456, .rq_psn = 0x123456, .sq_psn = 0x654321, .access_flags = 15,
			  .port_num = 1, .timeout = 14, .retry_cnt = 7, .rnr_retry = 7, .min_rnr_timer = 12, .max_rd_atomic = 16,
			  .max_dest_rd_atomic = 16,
			  .av = { .dgid = { [10] = 0xff, 0xff, 10, 99, 0, 1 }, .sgid = { [10] = 0xff, 0xff, 10, 99, 0, 2 },
				  .sgid_index = 1, .hop_limit = 64, .network_type = 1, .present = 1,
				  .dmac = { 2, 0, 0, 0x99, 0, 2 } } },
		.req = { .wqe_index = 12, .psn = 0x654399, .opcode = SEALIFT_RXE_NONE, .rd_atomic = 16, .ssn = 12 },
		.comp = { .psn = 0x654399, .opcode = SEALIFT_RXE_NONE, .retry_cnt = 7, .rnr_retry = 7 },
		.resp = { .msn = 99, .psn = 0x1234aa, .ack_psn = 0x1234a9, .opcode = SEALIFT_RXE_NONE },
	};
}

static void fill_record(PB(QueuePair) *record, PB(DriverState) *driver, PB(Path) *path, struct sealift_rxe_qp *qp)
{
	sealift__ibverbs__queue_pair__init(record);
	sealift__ibverbs__driver_state__init(driver);
	sealift__ibverbs__path__init(path);
	record->driver = driver;
	record->path = path;
	path->port = 1;
	path->sgid_index = 1;
	path->dest_qpn = qp->attr.dest_qpn;
	path->sgid = (ProtobufCBinaryData){ 16, qp->attr.av.sgid };
	path->dgid = (ProtobufCBinaryData){ 16, qp->attr.av.dgid };
	rxe_record_fields(record, 40, qp);
}

static void idle_queue_pair(void)
{
	uint8_t packed[PACK_ROOM(sizeof(struct sealift_rxe_qp))], res[16 * 40] = {}, packed_res[PACK_ROOM(sizeof(res))];
	ProtobufCBinaryData buffers[3] = {};
	struct sealift_rxe_qp qp, thin, back;
	PB(DriverState) driver;
	PB(QueuePair) record;
	size_t size;
	PB(Path) path;

	fill_idle(&qp);
	fill_record(&record, &driver, &path, &qp);
	thin = qp;
	rxe_thin_qp(&thin, record.path);
	driver.state = (ProtobufCBinaryData){ pack(&thin, sizeof(thin), packed), packed };
	buffers[2] = (ProtobufCBinaryData){ pack(res, sizeof(res), packed_res), packed_res };
	driver.n_buffers = 3;
	driver.buffers = buffers;
	size = sealift__ibverbs__queue_pair__get_packed_size(&record);
	CHECK(size <= 200);
	if (size > 200 || getenv("V"))
		fprintf(stderr, "an idle queue pair takes %zu bytes, its state %zu\n", size, driver.state.len);

	CHECK(!unpack(packed, driver.state.len, &back, sizeof(back)));
	rxe_full_qp(&back, &record);
	/* What RESTORE_QP ignores is not kept. */
	qp.user_handle = qp.pd_handle = qp.send_cq_handle = qp.recv_cq_handle = 0;
	qp.sq.mmap_size = qp.rq.mmap_size = 0;
	qp.attr.av.sgid_index = 0;
	CHECK(!memcmp(&back, &qp, sizeof(qp)));
}

static void offsets_come_back(uint64_t sq, uint64_t rq, uint32_t rq_size)
{
	struct sealift_rxe_qp qp, thin;
	PB(DriverState) driver;
	PB(QueuePair) record;
	PB(Path) path;

	fill_idle(&qp);
	qp.sq.mmap_offset = sq;
	qp.rq.mmap_offset = rq;
	qp.rq.size = rq_size;
	fill_record(&record, &driver, &path, &qp);
	thin = qp;
	rxe_thin_qp(&thin, record.path);
	rxe_full_qp(&thin, &record);
	CHECK(thin.sq.mmap_offset == sq && thin.rq.mmap_offset == rq);
}

/* Wherever the two queues are mapped from; a queue pair that shares has one only. */
static void any_offsets(void)
{
	offsets_come_back(0x123000, 0x143000, 0xf180);
	offsets_come_back(0x143000, 0x123000, 0xf180);
	offsets_come_back(0, 0, 0xf180);
	offsets_come_back(0x123000, 0, 0);
	offsets_come_back(1ULL << 45, 0x1000, 64);
}

void unit_pack(void)
{
	any_bytes();
	elements();
	idle_queue_pair();
	any_offsets();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What objects weigh in an image, and what a dump and a restore of them cost: of the real driver, through the plugin's own code, without CRIU.
 * Each queue pair is connected to itself, has sent a message, and is idle; each fourth one has read from itself, too, and each other
 * fourth one has sent until it has been at each place of its queues.
 *
 * usage: weight DEVICE QUEUE_PAIRS REGIONS
 * Dumps a quarter of them, then all, and compares each queue of the image with what the driver gives. Then it closes the context, restores
 * it but for its regions, and compares again; what is damaged is refused before.
 * Exits with 1 if an idle queue pair takes more than 200 bytes beside its queues, or these more than they may, or if four times as
 * many take more than five times as long, or five times as many bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "driver_rxe_methods.h"
#include "driver_rxe_ring.h"
#include "weight_restore.h"
#include "weight_verbs.h"

#define MAX_BYTES	200	/* of an idle queue pair beside its queues */
#define MAX_IDLE_QUEUES	1000	/* of one that has sent a message, 64 requests each way */
#define MAX_SHARE	5	/* of what they are: of one that has been round them */
#define DUMPS		3

struct weight {
	double ms, encode_ms;
	size_t bytes;		/* of the whole image */
	size_t idle, reader;	/* of the heaviest queue pair of each sort, beside its queues */
	size_t idle_queues, round_queues, whole_queues; /* the last as the driver has them */
	size_t region;
};

static size_t beside_queues(PB(QueuePair) *record)
{
	ProtobufCBinaryData *buffers = record->driver->buffers, queues[] = { buffers[0], buffers[1] };
	size_t size;

	buffers[0].len = buffers[1].len = 0;
	size = sealift__ibverbs__queue_pair__get_packed_size(record);
	memcpy(buffers, queues, sizeof(queues));
	return size;
}

static void heaviest(size_t bytes, size_t *most)
{
	*most = bytes > *most ? bytes : *most;
}

static void weigh(const struct verbs *v, const PB(Context) *context, struct weight *w)
{
	MUST(context->n_qps == (size_t)v->num_qps && context->n_mrs == (size_t)v->num_regions + 1);
	for (size_t i = 0; i < context->n_qps; i++) {
		const ProtobufCBinaryData *buffers = context->qps[i]->driver->buffers;

		heaviest(beside_queues(context->qps[i]), verbs_reads(i) ? &w->reader : &w->idle);
		heaviest(buffers[0].len + buffers[1].len, verbs_goes_round(i) ? &w->round_queues : &w->idle_queues);
	}
	for (size_t i = 0; i < context->n_mrs; i++)
		heaviest(sealift__ibverbs__memory_region__get_packed_size(context->mrs[i]), &w->region);
}

static void same_queue(const ProtobufCBinaryData *packed, const struct sealift_rxe_ring *ring, const uint8_t *whole,
		       uint32_t number)
{
	struct rxe_ring_bytes bytes;

	if (rxe_unpack_ring(packed, ring, ring->size, &bytes) ||
	    memcmp((void *)(uintptr_t)bytes.buffer.address, whole, ring->size))
		errx(1, "a queue of %#x is not what the driver gives", number);
	free(bytes.memory);
}

/* Each queue of the image has what the driver has. */
static void compare_queues(const struct verbs *v, const PB(Context) *context, struct weight *w)
{
	for (size_t i = 0; i < context->n_qps; i++) {
		const PB(QueuePair) *record = context->qps[i];
		struct sealift_rxe_qp_buffers buffers = {};
		struct sealift_rxe_qp qp;
		uint8_t *sq, *rq;

		MUST(!rxe_dump_qp(v->ctx->cmd_fd, record->handle, &buffers, &qp));
		MUST((sq = malloc(qp.sq.size)) && (rq = malloc(qp.rq.size)));
		buffers.sq = (struct sealift_rxe_buffer){ .address = (uintptr_t)sq, .size = qp.sq.size };
		buffers.rq = (struct sealift_rxe_buffer){ .address = (uintptr_t)rq, .size = qp.rq.size };
		MUST(!rxe_dump_qp(v->ctx->cmd_fd, record->handle, &buffers, &qp));
		same_queue(&record->driver->buffers[0], &qp.sq, sq, record->qpn);
		same_queue(&record->driver->buffers[1], &qp.rq, rq, record->qpn);
		w->whole_queues = qp.sq.size + qp.rq.size;
		free(sq);
		free(rq);
	}
}

static PB(Context) *new_context(const struct verbs *v)
{
	PB(Context) *context = calloc(1, sizeof(*context));
	char path[128];

	MUST(context);
	snprintf(path, sizeof(path), "/dev/infiniband/%s", v->ctx->device->dev_name);
	sealift__ibverbs__context__init(context);
	MUST((context->driver = calloc(1, sizeof(*context->driver))));
	sealift__ibverbs__driver__init(context->driver);
	context->driver->abi = driver_rxe.abi;
	MUST((context->driver->name = strdup(driver_rxe.name)) && (context->node_path = strdup(path)));
	return context;
}

static PB(Context) *dump_once(const struct verbs *v, struct weight *w)
{
	PB(Context) *context = new_context(v);
	struct rings rings = {};
	double began = now_ms();
	uint8_t *image;

	if (driver_rxe.dump(v->ctx->cmd_fd, context, &rings))
		exit(1);
	w->ms = now_ms() - began;
	began = now_ms();
	MUST((image = image_encode(&context->base, &w->bytes)));
	w->encode_ms = now_ms() - began;
	free(image);
	free(rings.items);
	return context;
}

/* The fastest of some: other work of the machine makes the others slower. Leaves the device held. */
static PB(Context) *dump(const struct verbs *v, struct weight *w)
{
	PB(Context) *context;

	if (driver_rxe.hold(v->ctx->cmd_fd))
		exit(1);
	context = dump_once(v, w);
	for (int i = 1; i < DUMPS; i++) {
		struct weight again;

		sealift__ibverbs__context__free_unpacked(context, NULL);
		context = dump_once(v, &again);
		w->ms = again.ms < w->ms ? again.ms : w->ms;
		w->encode_ms = again.encode_ms < w->encode_ms ? again.encode_ms : w->encode_ms;
	}
	weigh(v, context, w);
	compare_queues(v, context, w);
	printf("time: %d queue pairs, %d completion queues, %d regions dumped in %.1f ms, encoded in %.1f ms; image %zu bytes; "
	       "an idle queue pair %zu beside its queues, one that has answered a READ %zu; its queues of %zu bytes %zu, "
	       "of one that has been round them %zu; a region %zu\n",
	       v->num_qps, (v->num_qps + QPS_OF_A_CQ - 1) / QPS_OF_A_CQ, v->num_regions + 1, w->ms, w->encode_ms, w->bytes,
	       w->idle, w->reader, w->whole_queues, w->idle_queues, w->round_queues, w->region);
	fflush(stdout);
	return context;
}

static void check(const struct weight *few, const struct weight *all)
{
	if (all->idle > MAX_BYTES)
		errx(1, "an idle queue pair takes %zu bytes beside its queues, not %d at most", all->idle, MAX_BYTES);
	if (all->idle_queues > MAX_IDLE_QUEUES)
		errx(1, "the queues of an idle queue pair take %zu bytes, not %d at most", all->idle_queues, MAX_IDLE_QUEUES);
	if (all->round_queues > all->whole_queues / MAX_SHARE)
		errx(1, "the queues of a queue pair that has used all of them take %zu bytes, not %zu at most", all->round_queues,
		     all->whole_queues / MAX_SHARE);
	if (all->bytes > 5 * few->bytes)
		errx(1, "the image is not linear");
	if (all->ms > 5 * few->ms)
		errx(1, "the dump is not linear");
}

int main(int argc, char **argv)
{
	struct weight few = {}, all = {};
	PB(Context) *context;
	struct verbs v = {};
	int qps, regions;

	if (argc != 4 || (qps = atoi(argv[2])) < 4 || (regions = atoi(argv[3])) < 4)
		errx(2, "usage: %s DEVICE QUEUE_PAIRS REGIONS, at least 4 of each", argv[0]);
	verbs_make(&v, argv[1], qps, regions);
	verbs_grow(&v, qps / 4, regions / 4);
	sealift__ibverbs__context__free_unpacked(dump(&v, &few), NULL);
	if (driver_rxe.resume(v.ctx->cmd_fd))
		exit(1);
	verbs_grow(&v, qps, regions);
	context = dump(&v, &all);

	verbs_close(&v);
	printf("time: read and restored, but for its regions, in %.1f ms, as it was\n", weight_restore(context));
	sealift__ibverbs__context__free_unpacked(context, NULL);
	check(&few, &all);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
#include "image.h"
#include "ring_map.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "expect.h"

static void check(int ret, const char *what)
{
	if (ret) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static void *alloc(size_t size)
{
	void *p = size ? calloc(1, size) : NULL;

	if (size && !p)
		err(1, "calloc");
	return p;
}

static void map_again(int fd, void *at, const struct raw_map *map)
{
	if (mmap(at, map->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, map->offset) != at)
		err(1, "mmap of a queue");
}

static struct sealift_rxe_qp_buffers qp_buffers(const struct image_object *o)
{
	return (struct sealift_rxe_qp_buffers){
		.sq = sl_buffer(o->ring, o->qp.sq.size),
		.rq = sl_buffer(o->rq, o->qp.rq.size),
		.res = sl_buffer(o->res, o->qp.num_res *
				 (uint32_t)sizeof(struct sealift_rxe_res)),
	};
}

static void dump_qp(struct image_object *o, int fd)
{
	struct sealift_rxe_qp_buffers bufs = { 0 };

	check(sl_dump_qp(fd, o->handle, &bufs, &o->qp), "DUMP_QP sizes");
	o->ring = alloc(o->qp.sq.size);
	o->rq = alloc(o->qp.rq.size);
	o->res = alloc(o->qp.num_res * sizeof(struct sealift_rxe_res));
	bufs = qp_buffers(o);
	check(sl_dump_qp(fd, o->handle, &bufs, &o->qp), "DUMP_QP");
}

static void dump_cq(struct image_object *o, int fd)
{
	check(sl_dump_cq(fd, o->handle, NULL, 0, &o->cq), "DUMP_CQ size");
	o->ring = alloc(o->cq.ring.size);
	check(sl_dump_cq(fd, o->handle, o->ring, o->cq.ring.size, &o->cq),
	      "DUMP_CQ");
}

static void dump_srq(struct image_object *o, int fd)
{
	check(sl_dump_srq(fd, o->handle, NULL, 0, &o->srq), "DUMP_SRQ size");
	o->ring = alloc(o->srq.ring.size);
	check(sl_dump_srq(fd, o->handle, o->ring, o->srq.ring.size, &o->srq),
	      "DUMP_SRQ");
}

/* Those of the port and the device stay: the context does. */
static void dump_events(struct image *img, int fd)
{
	struct sealift_rxe_event all[IMAGE_EVENTS];
	uint32_t i, kept = 0;

	check(sl_dump_events(fd, all, IMAGE_EVENTS, &img->events),
	      "DUMP_EVENTS");
	for (i = 0; i < img->events.count; i++)
		if (all[i].object != SEALIFT_RXE_NONE)
			img->event[kept++] = all[i];
	img->events.count = kept;
}

void image_dump(struct image *img, int fd, int channel)
{
	struct sealift_rxe_object objs[IMAGE_MAX];
	struct sealift_rxe_context ctx;
	struct sealift_rxe_fd found;
	struct image_object *o;
	uint32_t i;

	memset(img, 0, sizeof(*img));
	img->channel = channel;
	check(sl_context(fd, objs, IMAGE_MAX, &ctx), "DUMP_CONTEXT");
	if (ctx.async >= ctx.count ||
	    objs[ctx.async].type != UVERBS_OBJECT_ASYNC_EVENT)
		errx(1, "DUMP_CONTEXT: async %u of %u", ctx.async, ctx.count);
	if (channel >= 0) {
		check(sl_find_fd(fd, channel, -1, &found), "FIND_FD");
		if (found.index >= ctx.count ||
		    objs[found.index].type != UVERBS_OBJECT_COMP_CHANNEL)
			errx(1, "FIND_FD: index %u", found.index);
	}

	for (i = 0; i < ctx.count; i++) {
		o = &img->obj[img->num];
		o->type = objs[i].type;
		o->handle = objs[i].handle;

		switch (o->type) {
		case UVERBS_OBJECT_CQ:
			dump_cq(o, fd);
			o->map = ring_map(fd, o->cq.ring.mmap_offset);
			if (o->cq.channel != (channel >= 0 ? found.index :
					      SEALIFT_RXE_NONE))
				errx(1, "channel of the CQ: %u", o->cq.channel);
			break;
		case UVERBS_OBJECT_QP:
			dump_qp(o, fd);
			o->map = ring_map(fd, o->qp.sq.mmap_offset);
			if (o->qp.rq.size)
				o->rq_map = ring_map(fd, o->qp.rq.mmap_offset);
			break;
		case UVERBS_OBJECT_SRQ:
			dump_srq(o, fd);
			o->map = ring_map(fd, o->srq.ring.mmap_offset);
			break;
		case UVERBS_OBJECT_MR:
			check(sl_dump_mr(fd, o->handle, &o->mr), "DUMP_MR");
			break;
		case UVERBS_OBJECT_AH:
			check(sl_dump_ah(fd, o->handle, &o->ah), "DUMP_AH");
			break;
		case UVERBS_OBJECT_PD:
		case UVERBS_OBJECT_COMP_CHANNEL:
		case UVERBS_OBJECT_ASYNC_EVENT:
			continue;
		default:
			errx(1, "object of type %u", o->type);
		}
		img->num++;
	}
	dump_events(img, fd);
}

static void destroy_all(const struct image *img, int fd, uint32_t type)
{
	uint32_t i;

	for (i = 0; i < img->num; i++)
		if (img->obj[i].type == type)
			check(raw_destroy(fd, type, img->obj[i].handle),
			      "destroy");
}

void image_destroy(const struct image *img, int fd)
{
	destroy_all(img, fd, UVERBS_OBJECT_QP);
	destroy_all(img, fd, UVERBS_OBJECT_AH);
	destroy_all(img, fd, UVERBS_OBJECT_SRQ);
	destroy_all(img, fd, UVERBS_OBJECT_CQ);
	destroy_all(img, fd, UVERBS_OBJECT_MR);
}

/* Handles are given out lowest first: occupy those below the wanted one. */
static uint32_t fill_below(int fd, uint32_t wanted, uint32_t *fill,
			   uint32_t num)
{
	uint32_t handle;

	for (;;) {
		check(raw_alloc_pd(fd, &handle), "ALLOC_PD");
		if (handle > wanted)
			errx(1, "handle %u is taken", wanted);
		if (handle == wanted)
			break;
		if (num == IMAGE_MAX)
			errx(1, "too many handles to fill");
		fill[num++] = handle;
	}
	check(raw_destroy(fd, UVERBS_OBJECT_PD, handle), "DEALLOC_PD");
	return num;
}

static void restore_one(struct image *img, struct image_object *o, int fd,
			uint32_t qp_flags)
{
	uint32_t handle, number, rkey;
	struct sealift_rxe_qp_buffers bufs;
	struct raw_map map, rq_map;

	switch (o->type) {
	case UVERBS_OBJECT_CQ:
		check(raw_create_cq(fd, o->cq.cqe, o->cq.user_handle,
				    o->cq.channel == SEALIFT_RXE_NONE ?
				    -1 : img->channel, &handle, &map),
		      "CREATE_CQ");
		map_again(fd, o->map, &map);
		check(sl_restore_cq(fd, handle, &o->cq, o->ring,
				    o->cq.ring.size), "RESTORE_CQ");
		break;
	case UVERBS_OBJECT_SRQ:
		check(raw_create_srq(fd, &o->srq,
				     &handle, &map), "CREATE_SRQ");
		map_again(fd, o->map, &map);
		check(sl_restore_srq(fd, handle, &o->srq, o->ring,
				     o->srq.ring.size), "RESTORE_SRQ");
		break;
	case UVERBS_OBJECT_QP:
		check(sl_hint(fd, SEALIFT_RXE_HINT_QPN, o->qp.qpn), "HINT");
		check(raw_create_qp(fd, &o->qp, &handle, &number, &map,
				    &rq_map), "CREATE_QP");
		if (number != o->qp.qpn)
			errx(1, "QPN is %u, not %u", number, o->qp.qpn);
		map_again(fd, o->map, &map);
		if (o->rq_map)
			map_again(fd, o->rq_map, &rq_map);
		o->qp.flags = qp_flags;
		bufs = qp_buffers(o);
		check(sl_restore_qp(fd, handle, &o->qp, &bufs), "RESTORE_QP");
		o->qp.flags = 0;
		break;
	case UVERBS_OBJECT_AH:
		if (o->ah.number)
			check(sl_hint(fd, SEALIFT_RXE_HINT_AH, o->ah.number),
			      "HINT");
		check(raw_create_ah(fd, &o->ah, &handle, &number),
		      "CREATE_AH");
		if (number != o->ah.number)
			errx(1, "number is %u, not %u", number, o->ah.number);
		check(sl_restore_ah(fd, handle, &o->ah), "RESTORE_AH");
		break;
	default:
		check(sl_hint(fd, SEALIFT_RXE_HINT_MR, o->mr.lkey), "HINT");
		check(raw_reg_mr(fd, &o->mr, &handle, &number, &rkey),
		      "REG_MR");
		if (number != o->mr.lkey || rkey != o->mr.rkey)
			errx(1, "key is %#x, not %#x", number, o->mr.lkey);
	}
	if (handle != o->handle)
		errx(1, "handle is %u, not %u", handle, o->handle);
}

void image_restore(struct image *img, int fd, uint32_t qp_flags)
{
	static const uint32_t order[] = {
		UVERBS_OBJECT_CQ, UVERBS_OBJECT_SRQ, UVERBS_OBJECT_AH,
		UVERBS_OBJECT_QP, UVERBS_OBJECT_MR
	};
	uint32_t fill[IMAGE_MAX], num, i, t;

	for (t = 0; t < ARRAY_SIZE(order); t++) {
		for (i = 0; i < img->num; i++) {
			if (img->obj[i].type != order[t])
				continue;
			num = fill_below(fd, img->obj[i].handle, fill, 0);
			restore_one(img, &img->obj[i], fd, qp_flags);
			while (num)
				check(raw_destroy(fd, UVERBS_OBJECT_PD,
						  fill[--num]), "DEALLOC_PD");
		}
	}
	check(sl_restore_events(fd, &img->events, img->event),
	      "RESTORE_EVENTS");
}

static void differ(const void *a, const void *b, size_t size, const char *what)
{
	const unsigned char *x = a, *y = b;
	size_t i;

	for (i = 0; i < size; i++)
		if (x[i] != y[i])
			errx(1, "%s differs at byte %zu of %zu: %#x, was %#x",
			     what, i, size, y[i], x[i]);
}

/* A READ that is repeated in the hold, in part, goes on from there. */
static void compare_cache(const struct sealift_rxe_res *was,
			  struct sealift_rxe_res *now, uint32_t num)
{
	uint32_t i;

	for (i = 0; i < num; i++)
		if (now[i].type == SEALIFT_RXE_RES_READ &&
		    now[i].va >= was[i].va &&
		    now[i].va - was[i].va <= was[i].length)
			now[i].va = was[i].va;
	differ(was, now, num * sizeof(*was), "replay cache");
}

static void compare_qp(const struct image_object *o, int fd)
{
	struct image_object now = { .handle = o->handle };
	struct sealift_rxe_qp was = o->qp;

	dump_qp(&now, fd);
	was.sq.mmap_offset = now.qp.sq.mmap_offset;
	was.rq.mmap_offset = now.qp.rq.mmap_offset;
	/* set anew with every packet */
	was.resp.aeth_syndrome = now.qp.resp.aeth_syndrome;
	/* an RNR wait goes on in the hold */
	if (now.qp.comp.rnr_wait <= was.comp.rnr_wait)
		was.comp.rnr_wait = now.qp.comp.rnr_wait;
	differ(&was, &now.qp, sizeof(was), "QP");
	differ(o->ring, now.ring, was.sq.size, "SQ");
	differ(o->rq, now.rq, was.rq.size, "RQ");
	compare_cache(o->res, now.res, was.num_res);
	free(now.ring);
	free(now.rq);
	free(now.res);
}

static void compare_cq(const struct image_object *o, int fd)
{
	struct image_object now = { .handle = o->handle };
	struct sealift_rxe_cq was = o->cq;

	dump_cq(&now, fd);
	was.ring.mmap_offset = now.cq.ring.mmap_offset;
	differ(&was, &now.cq, sizeof(was), "CQ");
	differ(o->ring, now.ring, was.ring.size, "CQ ring");
	free(now.ring);
}

static void compare_srq(const struct image_object *o, int fd)
{
	struct image_object now = { .handle = o->handle };
	struct sealift_rxe_srq was = o->srq;

	dump_srq(&now, fd);
	was.ring.mmap_offset = now.srq.ring.mmap_offset;
	differ(&was, &now.srq, sizeof(was), "SRQ");
	differ(o->ring, now.ring, was.ring.size, "SRQ ring");
	free(now.ring);
}

void image_compare(const struct image *img, int fd)
{
	struct sealift_rxe_mr mr;
	struct sealift_rxe_ah ah;
	uint32_t i;

	for (i = 0; i < img->num; i++) {
		const struct image_object *o = &img->obj[i];

		switch (o->type) {
		case UVERBS_OBJECT_QP:
			compare_qp(o, fd);
			break;
		case UVERBS_OBJECT_CQ:
			compare_cq(o, fd);
			break;
		case UVERBS_OBJECT_SRQ:
			compare_srq(o, fd);
			break;
		case UVERBS_OBJECT_AH:
			check(sl_dump_ah(fd, o->handle, &ah), "DUMP_AH");
			differ(&o->ah, &ah, sizeof(ah), "AH");
			break;
		default:
			check(sl_dump_mr(fd, o->handle, &mr), "DUMP_MR");
			differ(&o->mr, &mr, sizeof(mr), "MR");
		}
	}
}

void image_free(struct image *img)
{
	uint32_t i;

	for (i = 0; i < img->num; i++) {
		free(img->obj[i].ring);
		free(img->obj[i].rq);
		free(img->obj[i].res);
	}
	img->num = 0;
}

// SPDX-License-Identifier: GPL-2.0
#include "victim.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		err(1, "calloc");
	return p;
}

static size_t res_size(const struct victim *v)
{
	return v->qp_orig.num_res * sizeof(*v->res);
}

static void buffers(struct sealift_rxe_qp_buffers *b, const struct victim *v,
		    void *sq, void *rq, void *res)
{
	b->sq = sl_buffer(sq, v->qp_orig.sq.size);
	b->rq = sl_buffer(rq, v->qp_orig.rq.size);
	b->res = sl_buffer(res, res_size(v));
}

struct sealift_rxe_qp_buffers victim_buffers(const struct victim *v)
{
	struct sealift_rxe_qp_buffers b;

	buffers(&b, v, v->sq, v->rq, v->res);
	return b;
}

void victim_dump(struct victim *v, int fd, uint32_t handle)
{
	struct sealift_rxe_qp_buffers b = { 0 };
	struct sealift_rxe_srq srq;

	memset(v, 0, sizeof(*v));
	v->fd = fd;
	if (sl_dump_qp(fd, handle, &b, &v->qp_orig))
		errx(1, "DUMP_QP sizes");
	v->sq = alloc(v->qp_orig.sq.size);
	v->rq = alloc(v->qp_orig.rq.size);
	v->res = alloc(res_size(v));
	v->sq_orig = alloc(v->qp_orig.sq.size);
	v->rq_orig = alloc(v->qp_orig.rq.size);
	v->res_orig = alloc(res_size(v));
	buffers(&b, v, v->sq_orig, v->rq_orig, v->res_orig);
	if (sl_dump_qp(fd, handle, &b, &v->qp_orig))
		errx(1, "DUMP_QP");
	v->max_recv_sge = v->qp_orig.max_recv_sge;
	if (v->qp_orig.srq_handle != SEALIFT_RXE_NONE) {
		if (sl_dump_srq(fd, v->qp_orig.srq_handle, NULL, 0, &srq))
			errx(1, "DUMP_SRQ");
		v->max_recv_sge = srq.max_sge;
	}
	victim_reset(v);
}

void victim_take(struct victim *v, int fd, uint32_t handle)
{
	victim_dump(v, fd, handle);
	if (raw_destroy(fd, UVERBS_OBJECT_QP, handle))
		errx(1, "DESTROY_QP");
}

void victim_reset(struct victim *v)
{
	v->qp = v->qp_orig;
	memcpy(v->sq, v->sq_orig, v->qp.sq.size);
	memcpy(v->rq, v->rq_orig, v->qp.rq.size);
	memcpy(v->res, v->res_orig, res_size(v));
}

uint32_t victim_create(const struct victim *v)
{
	uint32_t handle, number;
	struct raw_map sq, rq;
	int ret;

	ret = sl_hint(v->fd, SEALIFT_RXE_HINT_QPN, v->qp_orig.qpn);
	if (ret)
		errx(1, "HINT: %s", strerror(-ret));
	ret = raw_create_qp(v->fd, &v->qp_orig, &handle, &number, &sq, &rq);
	if (ret)
		errx(1, "CREATE_QP: %s", strerror(-ret));
	return handle;
}

void victim_destroy(const struct victim *v, uint32_t handle)
{
	while (raw_destroy(v->fd, UVERBS_OBJECT_QP, handle) == -EBUSY)
		usleep(100);
}

int victim_restore(const struct victim *v, uint32_t *handle)
{
	struct sealift_rxe_qp_buffers b = victim_buffers(v);
	int ret;

	*handle = victim_create(v);
	ret = sl_restore_qp(v->fd, *handle, &v->qp, &b);
	if (ret)
		victim_destroy(v, *handle);
	return ret;
}

void victim_free(struct victim *v)
{
	free(v->sq);
	free(v->rq);
	free(v->res);
	free(v->sq_orig);
	free(v->rq_orig);
	free(v->res_orig);
}

// SPDX-License-Identifier: GPL-2.0
/* The methods and verbs of shared receive queues. */
#include "method.h"

#include <errno.h>

#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <rdma/rdma_user_rxe.h>

#define NUM(a) (sizeof(a) / sizeof((a)[0]))
#define AT(p) ((uintptr_t)(p))

int sl_dump_srq(int fd, uint32_t handle, void *ring, uint32_t size,
		struct sealift_rxe_srq *out)
{
	struct sealift_rxe_buffer in = sl_buffer(ring, size);
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_DUMP_SRQ_HANDLE, 0, handle },
		{ SEALIFT_RXE_ATTR_DUMP_SRQ_IN, sizeof(in), AT(&in) },
		{ SEALIFT_RXE_ATTR_DUMP_SRQ_OUT, sizeof(*out), AT(out) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_SRQ,
		       attrs, NUM(attrs));
}

int sl_restore_srq(int fd, uint32_t handle, const struct sealift_rxe_srq *in,
		   const void *ring, uint32_t size)
{
	struct sealift_rxe_buffer buf = sl_buffer(ring, size);
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_RESTORE_SRQ_HANDLE, 0, handle },
		{ SEALIFT_RXE_ATTR_RESTORE_SRQ_IN, sizeof(*in), AT(in) },
		{ SEALIFT_RXE_ATTR_RESTORE_SRQ_RING, sizeof(buf), AT(&buf) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_SRQ,
		       attrs, NUM(attrs));
}

int raw_create_srq(int fd, const struct sealift_rxe_srq *like,
		   uint32_t *handle, struct raw_map *map)
{
	struct ib_uverbs_create_xsrq in = {
		.user_handle = like->user_handle,
		.srq_type = IB_UVERBS_SRQT_BASIC,
		.pd_handle = like->pd_handle,
		.max_wr = like->max_wr,
		.max_sge = like->max_sge,
	};
	struct ib_uverbs_create_srq_resp resp;
	struct rxe_create_srq_resp uhw;
	struct sl_attr attrs[] = {
		{ UVERBS_ATTR_WRITE_CMD, 8, IB_USER_VERBS_CMD_CREATE_XSRQ },
		{ UVERBS_ATTR_CORE_IN, sizeof(in), AT(&in) },
		{ UVERBS_ATTR_CORE_OUT, sizeof(resp), AT(&resp) },
		{ UVERBS_ATTR_UHW_OUT, sizeof(uhw), AT(&uhw) },
	};
	int err;

	err = sl_call(fd, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE,
		      attrs, NUM(attrs));
	if (err)
		return err;

	*handle = resp.srq_handle;
	*map = (struct raw_map){ uhw.mi.offset, uhw.mi.size, uhw.mi.pad };
	return 0;
}

int raw_destroy_srq(int fd, uint32_t handle)
{
	struct ib_uverbs_destroy_srq_resp resp;
	struct sl_attr attrs[] = {
		{ UVERBS_ATTR_DESTROY_SRQ_HANDLE, 0, handle },
		{ UVERBS_ATTR_DESTROY_SRQ_RESP, sizeof(resp), AT(&resp) },
	};

	return sl_call(fd, UVERBS_OBJECT_SRQ, UVERBS_METHOD_SRQ_DESTROY, attrs,
		       NUM(attrs));
}

uint32_t sl_ring_producer(const void *ring)
{
	return ((const struct rxe_queue_buf *)ring)->producer_index;
}

unsigned char *sl_ring_entry(void *ring, const struct sealift_rxe_ring *like,
			     uint32_t index)
{
	struct rxe_queue_buf *buf = ring;

	return buf->data + ((uint64_t)index << like->log2_elem_size);
}

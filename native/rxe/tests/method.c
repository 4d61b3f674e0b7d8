// SPDX-License-Identifier: GPL-2.0
#include "method.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <rdma/rdma_user_rxe.h>

#define MAX_ATTRS 8

_Atomic unsigned long sl_calls;

int sl_call(int fd, uint16_t object, uint16_t method,
	    const struct sl_attr *attrs, unsigned int num)
{
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attrs[MAX_ATTRS];
	} cmd = {
		.hdr = {
			.length = sizeof(cmd.hdr) + num * sizeof(cmd.attrs[0]),
			.object_id = object,
			.method_id = method,
			.num_attrs = num,
			.driver_id = RDMA_DRIVER_RXE,
		},
	};
	unsigned int i;

	if (object == SEALIFT_RXE_OBJECT)
		sl_calls++;
	for (i = 0; i < num && i < MAX_ATTRS; i++) {
		cmd.attrs[i].attr_id = attrs[i].id;
		cmd.attrs[i].len = attrs[i].len;
		cmd.attrs[i].flags = UVERBS_ATTR_F_MANDATORY;
		cmd.attrs[i].data = attrs[i].data;
	}

	return ioctl(fd, RDMA_VERBS_IOCTL, &cmd) ? -errno : 0;
}

static struct sl_attr ptr(uint16_t id, const void *p, size_t len)
{
	struct sl_attr attr = { .id = id, .len = len };

	/* short input travels in the attribute itself */
	if (len <= sizeof(attr.data))
		memcpy(&attr.data, p, len);
	else
		attr.data = (uintptr_t)p;

	return attr;
}

static struct sl_attr out(uint16_t id, void *p, size_t len)
{
	return (struct sl_attr){ .id = id, .len = len, .data = (uintptr_t)p };
}

static struct sl_attr obj(uint16_t id, int64_t handle)
{
	return (struct sl_attr){ .id = id, .data = handle };
}

#define CALL(fd, method, ...)						\
	sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_##method,	\
		(struct sl_attr[]){ __VA_ARGS__ },			\
		sizeof((struct sl_attr[]){ __VA_ARGS__ }) /		\
			sizeof(struct sl_attr))

struct sealift_rxe_buffer sl_buffer(const void *p, uint32_t size)
{
	return (struct sealift_rxe_buffer){
		.address = (uintptr_t)p,
		.size = p ? size : 0,
	};
}

int sl_query(int fd, struct sealift_rxe_query *q)
{
	return CALL(fd, QUERY, out(SEALIFT_RXE_ATTR_QUERY_OUT, q, sizeof(*q)));
}

int sl_hold(int fd, uint32_t rnr_timer, uint32_t timeout_ms)
{
	return sl_hold_with(fd, rnr_timer, timeout_ms, 0);
}

int sl_hold_with(int fd, uint32_t rnr_timer, uint32_t timeout_ms,
		 uint32_t flags)
{
	struct sealift_rxe_hold in = { rnr_timer, timeout_ms, flags, 0 };

	return CALL(fd, HOLD, ptr(SEALIFT_RXE_ATTR_HOLD_IN, &in, sizeof(in)));
}

int sl_resume(int fd)
{
	struct sealift_rxe_resume in = { 0 };

	return CALL(fd, RESUME,
		    ptr(SEALIFT_RXE_ATTR_RESUME_IN, &in, sizeof(in)));
}

int sl_context(int fd, struct sealift_rxe_object *objs, uint32_t max,
	       struct sealift_rxe_context *o)
{
	struct sealift_rxe_buffer in = sl_buffer(objs, max * sizeof(*objs));

	return CALL(fd, DUMP_CONTEXT,
		    ptr(SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN, &in, sizeof(in)),
		    out(SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, o, sizeof(*o)));
}

int sl_list(int fd, struct sealift_rxe_device_object *objs, uint32_t max,
	    struct sealift_rxe_list *o)
{
	struct sealift_rxe_buffer in = sl_buffer(objs, max * sizeof(*objs));

	return CALL(fd, LIST, ptr(SEALIFT_RXE_ATTR_LIST_IN, &in, sizeof(in)),
		    out(SEALIFT_RXE_ATTR_LIST_OUT, o, sizeof(*o)));
}

int sl_find_fd(int fd, int comp, int async, struct sealift_rxe_fd *o)
{
	if (comp >= 0)
		return CALL(fd, FIND_FD,
			    obj(SEALIFT_RXE_ATTR_FIND_FD_COMP, comp),
			    out(SEALIFT_RXE_ATTR_FIND_FD_OUT, o, sizeof(*o)));

	return CALL(fd, FIND_FD, obj(SEALIFT_RXE_ATTR_FIND_FD_ASYNC, async),
		    out(SEALIFT_RXE_ATTR_FIND_FD_OUT, o, sizeof(*o)));
}

int sl_dump_cq(int fd, uint32_t handle, void *ring, uint32_t size,
	       struct sealift_rxe_cq *o)
{
	struct sealift_rxe_buffer in = sl_buffer(ring, size);

	return CALL(fd, DUMP_CQ, obj(SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE, handle),
		    ptr(SEALIFT_RXE_ATTR_DUMP_CQ_IN, &in, sizeof(in)),
		    out(SEALIFT_RXE_ATTR_DUMP_CQ_OUT, o, sizeof(*o)));
}

int sl_dump_mr(int fd, uint32_t handle, struct sealift_rxe_mr *o)
{
	return CALL(fd, DUMP_MR, obj(SEALIFT_RXE_ATTR_DUMP_MR_HANDLE, handle),
		    out(SEALIFT_RXE_ATTR_DUMP_MR_OUT, o, sizeof(*o)));
}

int sl_dump_qp(int fd, uint32_t handle,
	       const struct sealift_rxe_qp_buffers *bufs,
	       struct sealift_rxe_qp *o)
{
	return CALL(fd, DUMP_QP, obj(SEALIFT_RXE_ATTR_DUMP_QP_HANDLE, handle),
		    ptr(SEALIFT_RXE_ATTR_DUMP_QP_IN, bufs, sizeof(*bufs)),
		    out(SEALIFT_RXE_ATTR_DUMP_QP_OUT, o, sizeof(*o)));
}

int sl_hint(int fd, uint32_t type, uint32_t value)
{
	struct sealift_rxe_hint in = { type, value };

	return CALL(fd, HINT, ptr(SEALIFT_RXE_ATTR_HINT_IN, &in, sizeof(in)));
}

int sl_hint_keys(int fd, const uint32_t *keys, uint32_t size)
{
	struct sealift_rxe_hint in = { SEALIFT_RXE_HINT_NONE, 0 };

	return CALL(fd, HINT, ptr(SEALIFT_RXE_ATTR_HINT_IN, &in, sizeof(in)),
		    ptr(SEALIFT_RXE_ATTR_HINT_KEYS, keys, size));
}

int sl_adopt(int fd)
{
	return sl_adopt_tid(fd, 0);
}

int sl_adopt_tid(int fd, uint32_t tid)
{
	struct sealift_rxe_adopt in = { .fd = fd, .tid = tid };

	return CALL(fd, ADOPT, ptr(SEALIFT_RXE_ATTR_ADOPT_IN, &in, sizeof(in)));
}

int sl_may_write(int fd, uint32_t tid)
{
	struct sealift_rxe_adopt in = { .fd = fd, .tid = tid };

	return CALL(fd, MAY_WRITE,
		    ptr(SEALIFT_RXE_ATTR_MAY_WRITE_IN, &in, sizeof(in)));
}

int sl_restore_cq(int fd, uint32_t handle, const struct sealift_rxe_cq *in,
		  const void *ring, uint32_t size)
{
	struct sealift_rxe_buffer buf = sl_buffer(ring, size);

	return CALL(fd, RESTORE_CQ,
		    obj(SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE, handle),
		    ptr(SEALIFT_RXE_ATTR_RESTORE_CQ_IN, in, sizeof(*in)),
		    ptr(SEALIFT_RXE_ATTR_RESTORE_CQ_RING, &buf, sizeof(buf)));
}

int sl_restore_qp(int fd, uint32_t handle, const struct sealift_rxe_qp *in,
		  const struct sealift_rxe_qp_buffers *bufs)
{
	return CALL(fd, RESTORE_QP,
		    obj(SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE, handle),
		    ptr(SEALIFT_RXE_ATTR_RESTORE_QP_IN, in, sizeof(*in)),
		    ptr(SEALIFT_RXE_ATTR_RESTORE_QP_BUFFERS, bufs,
			sizeof(*bufs)));
}

/* The write() commands' structs, carried by an ioctl. */
static int invoke(int fd, uint32_t cmd, const void *in, size_t in_len,
		  void *resp, size_t resp_len, void *uhw, size_t uhw_len)
{
	uint64_t number = cmd;
	struct sl_attr attrs[4] = {
		ptr(UVERBS_ATTR_WRITE_CMD, &number, sizeof(number)),
		ptr(UVERBS_ATTR_CORE_IN, in, in_len),
		out(UVERBS_ATTR_CORE_OUT, resp, resp_len),
		out(UVERBS_ATTR_UHW_OUT, uhw, uhw_len),
	};

	return sl_call(fd, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE,
		       attrs, uhw ? 4 : 3);
}

int raw_alloc_pd(int fd, uint32_t *handle)
{
	struct ib_uverbs_alloc_pd in = { 0 };
	struct ib_uverbs_alloc_pd_resp resp;
	int err;

	err = invoke(fd, IB_USER_VERBS_CMD_ALLOC_PD, &in, sizeof(in), &resp,
		     sizeof(resp), NULL, 0);
	*handle = resp.pd_handle;
	return err;
}

int raw_destroy(int fd, uint16_t object, uint32_t handle)
{
	struct ib_uverbs_destroy_qp_resp qp;
	struct ib_uverbs_destroy_cq_resp cq;

	switch (object) {
	case UVERBS_OBJECT_PD:
		return sl_call(fd, object, UVERBS_METHOD_PD_DESTROY,
			       (struct sl_attr[]){
				       obj(UVERBS_ATTR_DESTROY_PD_HANDLE, handle),
			       }, 1);
	case UVERBS_OBJECT_MR:
		return sl_call(fd, object, UVERBS_METHOD_MR_DESTROY,
			       (struct sl_attr[]){
				       obj(UVERBS_ATTR_DESTROY_MR_HANDLE, handle),
			       }, 1);
	case UVERBS_OBJECT_CQ:
		return sl_call(fd, object, UVERBS_METHOD_CQ_DESTROY,
			       (struct sl_attr[]){
				       obj(UVERBS_ATTR_DESTROY_CQ_HANDLE, handle),
				       out(UVERBS_ATTR_DESTROY_CQ_RESP, &cq,
					   sizeof(cq)),
			       }, 2);
	case UVERBS_OBJECT_QP:
		return sl_call(fd, object, UVERBS_METHOD_QP_DESTROY,
			       (struct sl_attr[]){
				       obj(UVERBS_ATTR_DESTROY_QP_HANDLE, handle),
				       out(UVERBS_ATTR_DESTROY_QP_RESP, &qp,
					   sizeof(qp)),
			       }, 2);
	case UVERBS_OBJECT_SRQ:
		return raw_destroy_srq(fd, handle);
	case UVERBS_OBJECT_AH:
		return raw_destroy_ah(fd, handle);
	default:
		return -EINVAL;
	}
}

static struct raw_map map_of(const struct mminfo *mi)
{
	return (struct raw_map){ mi->offset, mi->size, mi->pad };
}

int raw_create_cq(int fd, uint32_t cqe, uint64_t user_handle, int channel,
		  uint32_t *handle, struct raw_map *map)
{
	struct ib_uverbs_create_cq in = {
		.user_handle = user_handle,
		.cqe = cqe,
		.comp_channel = channel,
	};
	struct ib_uverbs_create_cq_resp resp;
	struct rxe_create_cq_resp uhw;
	int err;

	err = invoke(fd, IB_USER_VERBS_CMD_CREATE_CQ, &in, sizeof(in), &resp,
		     sizeof(resp), &uhw, sizeof(uhw));
	if (err)
		return err;

	*handle = resp.cq_handle;
	*map = map_of(&uhw.mi);
	return 0;
}

int raw_resize_cq(int fd, uint32_t handle, uint32_t cqe, struct raw_map *map)
{
	struct ib_uverbs_resize_cq in = { .cq_handle = handle, .cqe = cqe };
	struct ib_uverbs_resize_cq_resp resp;
	struct rxe_resize_cq_resp uhw;
	int err;

	err = invoke(fd, IB_USER_VERBS_CMD_RESIZE_CQ, &in, sizeof(in), &resp,
		     sizeof(resp), &uhw, sizeof(uhw));
	if (!err)
		*map = map_of(&uhw.mi);
	return err;
}

int raw_create_qp(int fd, const struct sealift_rxe_qp *like, uint32_t *handle,
		  uint32_t *qpn, struct raw_map *sq, struct raw_map *rq)
{
	struct ib_uverbs_create_qp in = {
		.user_handle = like->user_handle,
		.pd_handle = like->pd_handle,
		.send_cq_handle = like->send_cq_handle,
		.recv_cq_handle = like->recv_cq_handle,
		.max_send_wr = like->max_send_wr,
		.max_recv_wr = like->max_recv_wr,
		.max_send_sge = like->max_send_sge,
		.max_recv_sge = like->max_recv_sge,
		.max_inline_data = like->max_inline,
		.sq_sig_all = like->sq_sig_all,
		.qp_type = like->qp_type,
		.is_srq = like->srq_handle != SEALIFT_RXE_NONE,
		.srq_handle = like->srq_handle,
	};
	struct ib_uverbs_create_qp_resp resp;
	struct rxe_create_qp_resp uhw;
	int err;

	err = invoke(fd, IB_USER_VERBS_CMD_CREATE_QP, &in, sizeof(in), &resp,
		     sizeof(resp), &uhw, sizeof(uhw));
	if (err)
		return err;

	*handle = resp.qp_handle;
	*qpn = resp.qpn;
	*sq = map_of(&uhw.sq_mi);
	*rq = map_of(&uhw.rq_mi);
	return 0;
}

int raw_reg_mr(int fd, const struct sealift_rxe_mr *like, uint32_t *handle,
	       uint32_t *lkey, uint32_t *rkey)
{
	struct ib_uverbs_reg_mr in = {
		.start = like->start,
		.length = like->length,
		.hca_va = like->iova,
		.pd_handle = like->pd_handle,
		.access_flags = like->access,
	};
	struct ib_uverbs_reg_mr_resp resp;
	int err;

	err = invoke(fd, IB_USER_VERBS_CMD_REG_MR, &in, sizeof(in), &resp,
		     sizeof(resp), NULL, 0);
	if (err)
		return err;

	*handle = resp.mr_handle;
	*lkey = resp.lkey;
	*rkey = resp.rkey;
	return 0;
}

int raw_rereg_mr(int fd, const struct raw_rereg *again)
{
	struct ib_uverbs_rereg_mr in = {
		.mr_handle = again->handle,
		.flags = again->flags,
		.pd_handle = again->pd_handle,
		.access_flags = again->access,
	};
	struct ib_uverbs_rereg_mr_resp resp;

	return invoke(fd, IB_USER_VERBS_CMD_REREG_MR, &in, sizeof(in), &resp,
		      sizeof(resp), NULL, 0);
}

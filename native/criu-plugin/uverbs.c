// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#include "uverbs.h"

/* Attributes first, then their data: both have a fixed place in the buffer. */
#define DATA_START \
	(sizeof(struct ib_uverbs_ioctl_hdr) + UVERBS_MAX_ATTRS * sizeof(struct ib_uverbs_attr))

static struct ib_uverbs_attr *attr_at(struct uverbs_cmd *cmd, unsigned int nth)
{
	return (struct ib_uverbs_attr *)(cmd->bytes + sizeof(cmd->hdr)) + nth;
}

void uverbs_init(struct uverbs_cmd *cmd, uint64_t base, uint16_t object, uint16_t method)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->base = base ? base : (uintptr_t)cmd->bytes;
	cmd->used = DATA_START;
	cmd->hdr.object_id = object;
	cmd->hdr.method_id = method;
	cmd->hdr.driver_id = RDMA_DRIVER_RXE;
	cmd->hdr.length = sizeof(cmd->hdr);
}

static struct ib_uverbs_attr *add(struct uverbs_cmd *cmd, uint16_t id, uint16_t size)
{
	struct ib_uverbs_attr *attr;

	if (cmd->hdr.num_attrs >= UVERBS_MAX_ATTRS) {
		cmd->used = UVERBS_NONE;
		return attr_at(cmd, UVERBS_MAX_ATTRS - 1);
	}
	attr = attr_at(cmd, cmd->hdr.num_attrs++);
	memset(attr, 0, sizeof(*attr));
	attr->attr_id = id;
	attr->len = size;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	cmd->hdr.length += sizeof(*attr);
	return attr;
}

static uint32_t reserve(struct uverbs_cmd *cmd, uint32_t size)
{
	uint32_t at = cmd->used;

	if (cmd->used == UVERBS_NONE || size > sizeof(cmd->bytes) - cmd->used) {
		cmd->used = UVERBS_NONE;
		return DATA_START;
	}
	cmd->used += (size + 7) & ~7U;
	if (cmd->used > sizeof(cmd->bytes))
		cmd->used = UVERBS_NONE;
	return at;
}

void uverbs_in(struct uverbs_cmd *cmd, uint16_t id, const void *data, uint16_t size)
{
	struct ib_uverbs_attr *attr = add(cmd, id, size);
	uint64_t word = 0;
	uint32_t at;

	/* What fits is passed by value, the kernel never follows it. */
	if (size <= sizeof(word)) {
		memcpy(&word, data, size);
		attr->data = word;
		return;
	}
	at = reserve(cmd, size);
	if (cmd->used == UVERBS_NONE)
		return;
	memcpy(cmd->bytes + at, data, size);
	attr->data = cmd->base + at;
}

void uverbs_in_u32(struct uverbs_cmd *cmd, uint16_t id, uint32_t value)
{
	uverbs_in(cmd, id, &value, sizeof(value));
}

void uverbs_in_u64(struct uverbs_cmd *cmd, uint16_t id, uint64_t value)
{
	uverbs_in(cmd, id, &value, sizeof(value));
}

void uverbs_object(struct uverbs_cmd *cmd, uint16_t id, int64_t handle)
{
	add(cmd, id, 0)->data_s64 = handle;
}

uint32_t uverbs_out(struct uverbs_cmd *cmd, uint16_t id, uint16_t size)
{
	struct ib_uverbs_attr *attr = add(cmd, id, size);
	uint32_t at = reserve(cmd, size);

	attr->data = cmd->base + at;
	return at;
}

int64_t uverbs_new_object(const struct uverbs_cmd *cmd, unsigned int nth)
{
	return attr_at((struct uverbs_cmd *)cmd, nth)->data_s64;
}

int uverbs_call(int fd, struct uverbs_cmd *cmd)
{
	if (cmd->used == UVERBS_NONE)
		return -E2BIG;
	return ioctl(fd, RDMA_VERBS_IOCTL, cmd->bytes) ? -errno : 0;
}

int uverbs_get_context(int fd, uint32_t *comp_vectors)
{
	struct uverbs_cmd cmd;
	uint32_t at;
	int ret;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT);
	at = uverbs_out(&cmd, UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, sizeof(*comp_vectors));
	ret = uverbs_call(fd, &cmd);
	if (!ret)
		memcpy(comp_vectors, cmd.bytes + at, sizeof(*comp_vectors));
	return ret;
}

int uverbs_alloc_async(int fd, int *event_fd)
{
	struct uverbs_cmd cmd;
	int ret;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_ASYNC_EVENT, UVERBS_METHOD_ASYNC_EVENT_ALLOC);
	uverbs_object(&cmd, UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE, 0);
	ret = uverbs_call(fd, &cmd);
	if (!ret)
		*event_fd = uverbs_new_object(&cmd, 0);
	return ret;
}

/* Commands without a method of their own go through INVOKE_WRITE. */
static uint32_t invoke_write(struct uverbs_cmd *cmd, uint64_t base, uint32_t command,
			     const void *in, uint16_t in_size, uint16_t out_size)
{
	uverbs_init(cmd, base, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE);
	uverbs_in(cmd, UVERBS_ATTR_CORE_IN, in, in_size);
	uverbs_in_u64(cmd, UVERBS_ATTR_WRITE_CMD, command);
	return uverbs_out(cmd, UVERBS_ATTR_CORE_OUT, out_size);
}

int uverbs_create_channel(int fd, int *channel_fd)
{
	struct ib_uverbs_create_comp_channel_resp resp;
	struct ib_uverbs_create_comp_channel in = {};
	struct uverbs_cmd cmd;
	uint32_t at;
	int ret;

	at = invoke_write(&cmd, 0, IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL, &in, sizeof(in),
			  sizeof(resp));
	ret = uverbs_call(fd, &cmd);
	if (ret)
		return ret;
	memcpy(&resp, cmd.bytes + at, sizeof(resp));
	*channel_fd = resp.fd;
	return 0;
}

int uverbs_alloc_pd(int fd, uint32_t *handle)
{
	struct ib_uverbs_alloc_pd_resp resp;
	struct ib_uverbs_alloc_pd in = {};
	struct uverbs_cmd cmd;
	uint32_t at;
	int ret;

	at = invoke_write(&cmd, 0, IB_USER_VERBS_CMD_ALLOC_PD, &in, sizeof(in), sizeof(resp));
	ret = uverbs_call(fd, &cmd);
	if (ret)
		return ret;
	memcpy(&resp, cmd.bytes + at, sizeof(resp));
	*handle = resp.pd_handle;
	return 0;
}

int uverbs_destroy_pd(int fd, uint32_t handle)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY);
	uverbs_object(&cmd, UVERBS_ATTR_DESTROY_PD_HANDLE, handle);
	return uverbs_call(fd, &cmd);
}

int uverbs_query_gid(int fd, uint32_t port, uint32_t index, uint8_t gid[16])
{
	struct uverbs_cmd cmd;
	uint32_t at;
	int ret;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_ENTRY);
	uverbs_in_u64(&cmd, UVERBS_ATTR_QUERY_GID_ENTRY_PORT, port);
	uverbs_in_u64(&cmd, UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX, index);
	uverbs_in_u32(&cmd, UVERBS_ATTR_QUERY_GID_ENTRY_FLAGS, 0);
	at = uverbs_out(&cmd, UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY,
			sizeof(struct ib_uverbs_gid_entry));
	ret = uverbs_call(fd, &cmd);
	if (!ret)
		memcpy(gid, cmd.bytes + at, 16);
	return ret;
}

/* The end of a CREATE command whose first attribute is the new object. */
static int call_create(int fd, struct uverbs_cmd *cmd, void *driver_out, size_t size,
		       uint32_t *handle)
{
	uint32_t at = uverbs_out(cmd, UVERBS_ATTR_UHW_OUT, size);
	int ret = uverbs_call(fd, cmd);

	if (ret)
		return ret;
	*handle = uverbs_new_object(cmd, 0);
	memcpy(driver_out, cmd->bytes + at, size);
	return 0;
}

int uverbs_create_cq(int fd, const struct uverbs_cq_request *request, uint32_t *handle)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_CREATE);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_CQ_HANDLE, 0);
	uverbs_in_u32(&cmd, UVERBS_ATTR_CREATE_CQ_CQE, request->cqe);
	uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_CQ_USER_HANDLE, request->user_handle);
	if (request->channel_fd >= 0)
		uverbs_object(&cmd, UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL, request->channel_fd);
	/* rxe takes the vector and does nothing with it: nothing is left of the first one that could be dumped. */
	uverbs_in_u32(&cmd, UVERBS_ATTR_CREATE_CQ_COMP_VECTOR, 0);
	uverbs_out(&cmd, UVERBS_ATTR_CREATE_CQ_RESP_CQE, sizeof(uint32_t));
	return call_create(fd, &cmd, request->driver_out, request->driver_out_size, handle);
}

int uverbs_create_srq(int fd, const struct uverbs_srq_request *request, uint32_t *handle)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_SRQ, UVERBS_METHOD_SRQ_CREATE);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_SRQ_HANDLE, 0);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_SRQ_PD_HANDLE, request->pd);
	uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_SRQ_TYPE, IB_UVERBS_SRQT_BASIC);
	uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_SRQ_USER_HANDLE, request->user_handle);
	uverbs_in_u32(&cmd, UVERBS_ATTR_CREATE_SRQ_MAX_WR, request->max_wr);
	uverbs_in_u32(&cmd, UVERBS_ATTR_CREATE_SRQ_MAX_SGE, request->max_sge);
	uverbs_in_u32(&cmd, UVERBS_ATTR_CREATE_SRQ_LIMIT, 0);
	uverbs_out(&cmd, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_WR, sizeof(uint32_t));
	uverbs_out(&cmd, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_SGE, sizeof(uint32_t));
	return call_create(fd, &cmd, request->driver_out, request->driver_out_size, handle);
}

int uverbs_create_ah(int fd, const struct uverbs_ah_request *request, uint32_t *handle)
{
	static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };
	struct ib_uverbs_create_ah in = {
		.user_handle = request->user_handle,
		.pd_handle = request->pd,
		.attr = {
			.is_global = 1,
			.port_num = request->port,
			.grh.sgid_index = request->sgid_index,
		},
	};
	struct ib_uverbs_create_ah_resp resp;
	uint32_t at, driver_at = 0;
	struct uverbs_cmd cmd;
	int ret;

	memcpy(in.attr.grh.dgid, all_nodes, sizeof(all_nodes));
	at = invoke_write(&cmd, 0, IB_USER_VERBS_CMD_CREATE_AH, &in, sizeof(in), sizeof(resp));
	if (request->driver_out_size)
		driver_at = uverbs_out(&cmd, UVERBS_ATTR_UHW_OUT, request->driver_out_size);
	ret = uverbs_call(fd, &cmd);
	if (ret)
		return ret;
	memcpy(&resp, cmd.bytes + at, sizeof(resp));
	*handle = resp.ah_handle;
	if (request->driver_out_size)
		memcpy(request->driver_out, cmd.bytes + driver_at, request->driver_out_size);
	return 0;
}

int uverbs_create_qp(int fd, const struct uverbs_qp_request *request, uint32_t *handle,
		     uint32_t *qpn)
{
	struct ib_uverbs_qp_cap cap = {
		.max_send_wr = request->max_send_wr,
		.max_recv_wr = request->max_recv_wr,
		.max_send_sge = request->max_send_sge,
		.max_recv_sge = request->max_recv_sge,
		.max_inline_data = request->max_inline,
	};
	struct uverbs_cmd cmd;
	uint32_t qpn_at;
	int ret;

	uverbs_init(&cmd, 0, UVERBS_OBJECT_QP, UVERBS_METHOD_QP_CREATE);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_QP_HANDLE, 0);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_QP_PD_HANDLE, request->pd);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE, request->send_cq);
	uverbs_object(&cmd, UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE, request->recv_cq);
	if (request->has_srq)
		uverbs_object(&cmd, UVERBS_ATTR_CREATE_QP_SRQ_HANDLE, request->srq);
	uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_QP_USER_HANDLE, request->user_handle);
	uverbs_in(&cmd, UVERBS_ATTR_CREATE_QP_CAP, &cap, sizeof(cap));
	uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_QP_TYPE, request->type);
	if (request->sq_sig_all)
		uverbs_in_u64(&cmd, UVERBS_ATTR_CREATE_QP_FLAGS,
			      IB_UVERBS_QP_CREATE_SQ_SIG_ALL);
	uverbs_out(&cmd, UVERBS_ATTR_CREATE_QP_RESP_CAP, sizeof(cap));
	qpn_at = uverbs_out(&cmd, UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, sizeof(*qpn));
	ret = call_create(fd, &cmd, request->driver_out, request->driver_out_size, handle);
	if (!ret)
		memcpy(qpn, cmd.bytes + qpn_at, sizeof(*qpn));
	return ret;
}

uint32_t uverbs_build_reg_mr(struct uverbs_cmd *cmd, uint64_t base,
			     const struct uverbs_mr_request *request)
{
	struct ib_uverbs_reg_mr in = {
		.start = request->start,
		.length = request->length,
		.hca_va = request->iova,
		.pd_handle = request->pd,
		.access_flags = request->access,
	};

	return invoke_write(cmd, base, IB_USER_VERBS_CMD_REG_MR, &in, sizeof(in),
			    sizeof(struct ib_uverbs_reg_mr_resp));
}

void uverbs_parse_reg_mr(const struct uverbs_cmd *cmd, uint32_t out,
			 struct uverbs_mr_answer *answer)
{
	struct ib_uverbs_reg_mr_resp resp;

	memcpy(&resp, cmd->bytes + out, sizeof(resp));
	answer->handle = resp.mr_handle;
	answer->lkey = resp.lkey;
	answer->rkey = resp.rkey;
}

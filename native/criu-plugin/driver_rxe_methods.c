// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "driver_rxe_methods.h"

/* Call, and copy the one answer out. */
static int call_out(int fd, struct uverbs_cmd *cmd, uint16_t attribute, void *out, uint16_t size)
{
	uint32_t at = uverbs_out(cmd, attribute, size);
	int ret = uverbs_call(fd, cmd);

	if (!ret)
		memcpy(out, cmd->bytes + at, size);
	return ret;
}

int rxe_query(int fd, struct sealift_rxe_query *query)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_QUERY);
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_QUERY_OUT, query, sizeof(*query));
}

int rxe_hold(int fd, uint32_t rnr_timer, uint32_t timeout_ms)
{
	struct sealift_rxe_hold in = { .rnr_timer = rnr_timer, .timeout_ms = timeout_ms };
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_HOLD);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_HOLD_IN, &in, sizeof(in));
	return uverbs_call(fd, &cmd);
}

int rxe_resume(int fd)
{
	struct sealift_rxe_resume in = {};
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESUME);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESUME_IN, &in, sizeof(in));
	return uverbs_call(fd, &cmd);
}

int rxe_dump_context(int fd, struct sealift_rxe_object *list, uint32_t count,
		     struct sealift_rxe_context *context)
{
	struct sealift_rxe_buffer in = {
		.address = (uintptr_t)list,
		.size = list ? count * sizeof(*list) : 0,
	};
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_CONTEXT);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN, &in, sizeof(in));
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, context, sizeof(*context));
}

int rxe_find_fd(int fd, uint16_t attribute, int event_fd, struct sealift_rxe_fd *found)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_FIND_FD);
	uverbs_object(&cmd, attribute, event_fd);
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_FIND_FD_OUT, found, sizeof(*found));
}

int rxe_dump_cq(int fd, uint32_t handle, const struct sealift_rxe_buffer *ring,
		struct sealift_rxe_cq *cq)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_CQ);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_DUMP_CQ_IN, ring, sizeof(*ring));
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_CQ_OUT, cq, sizeof(*cq));
}

int rxe_dump_srq(int fd, uint32_t handle, const struct sealift_rxe_buffer *ring,
		 struct sealift_rxe_srq *srq)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_SRQ);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_DUMP_SRQ_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_DUMP_SRQ_IN, ring, sizeof(*ring));
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_SRQ_OUT, srq, sizeof(*srq));
}

int rxe_dump_mr(int fd, uint32_t handle, struct sealift_rxe_mr *mr)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_MR);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_DUMP_MR_HANDLE, handle);
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_MR_OUT, mr, sizeof(*mr));
}

int rxe_dump_qp(int fd, uint32_t handle, const struct sealift_rxe_qp_buffers *buffers,
		struct sealift_rxe_qp *qp)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_QP);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_DUMP_QP_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_DUMP_QP_IN, buffers, sizeof(*buffers));
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_QP_OUT, qp, sizeof(*qp));
}

int rxe_dump_ah(int fd, uint32_t handle, struct sealift_rxe_ah *ah)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_AH);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_DUMP_AH_HANDLE, handle);
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_AH_OUT, ah, sizeof(*ah));
}

int rxe_hint(int fd, uint32_t type, uint32_t value)
{
	struct sealift_rxe_hint in = { .type = type, .value = value };
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_HINT);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_HINT_IN, &in, sizeof(in));
	return uverbs_call(fd, &cmd);
}

int rxe_hint_keys(int fd, const uint32_t *keys, size_t count)
{
	struct sealift_rxe_hint in = { .type = SEALIFT_RXE_HINT_NONE };
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_HINT);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_HINT_IN, &in, sizeof(in));
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_HINT_KEYS, keys, count * sizeof(*keys));
	return uverbs_call(fd, &cmd);
}

int rxe_restore_cq(int fd, uint32_t handle, const struct sealift_rxe_cq *cq,
		   const struct sealift_rxe_buffer *ring)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_CQ);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_CQ_IN, cq, sizeof(*cq));
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_CQ_RING, ring, sizeof(*ring));
	return uverbs_call(fd, &cmd);
}

int rxe_restore_srq(int fd, uint32_t handle, const struct sealift_rxe_srq *srq,
		    const struct sealift_rxe_buffer *ring)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_SRQ);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_RESTORE_SRQ_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_SRQ_IN, srq, sizeof(*srq));
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_SRQ_RING, ring, sizeof(*ring));
	return uverbs_call(fd, &cmd);
}

int rxe_restore_qp(int fd, uint32_t handle, const struct sealift_rxe_qp *qp,
		   const struct sealift_rxe_qp_buffers *buffers)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_QP);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_QP_IN, qp, sizeof(*qp));
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_QP_BUFFERS, buffers, sizeof(*buffers));
	return uverbs_call(fd, &cmd);
}

int rxe_restore_ah(int fd, uint32_t handle, const struct sealift_rxe_ah *ah)
{
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_AH);
	uverbs_object(&cmd, SEALIFT_RXE_ATTR_RESTORE_AH_HANDLE, handle);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_AH_IN, ah, sizeof(*ah));
	return uverbs_call(fd, &cmd);
}

int rxe_dump_events(int fd, struct sealift_rxe_event *list, uint32_t count,
		    struct sealift_rxe_events *events)
{
	struct sealift_rxe_buffer in = {
		.address = (uintptr_t)list,
		.size = list ? count * sizeof(*list) : 0,
	};
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_EVENTS);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_DUMP_EVENTS_IN, &in, sizeof(in));
	return call_out(fd, &cmd, SEALIFT_RXE_ATTR_DUMP_EVENTS_OUT, events, sizeof(*events));
}

int rxe_restore_events(int fd, const struct sealift_rxe_events *events,
		       const struct sealift_rxe_event *list)
{
	struct sealift_rxe_buffer in = {
		.address = events->count ? (uintptr_t)list : 0,
		.size = events->count * sizeof(*list),
	};
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_EVENTS);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_EVENTS_IN, events, sizeof(*events));
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_RESTORE_EVENTS_LIST, &in, sizeof(in));
	return uverbs_call(fd, &cmd);
}

static void build_adopt(struct uverbs_cmd *cmd, uint64_t base, int fd, pid_t tid)
{
	struct sealift_rxe_adopt in = { .fd = fd, .tid = tid };

	uverbs_init(cmd, base, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_ADOPT);
	uverbs_in(cmd, SEALIFT_RXE_ATTR_ADOPT_IN, &in, sizeof(in));
}

int rxe_may_write(int fd, pid_t tid)
{
	struct sealift_rxe_adopt in = { .fd = fd, .tid = tid };
	struct uverbs_cmd cmd;

	uverbs_init(&cmd, 0, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_MAY_WRITE);
	uverbs_in(&cmd, SEALIFT_RXE_ATTR_MAY_WRITE_IN, &in, sizeof(in));
	return uverbs_call(fd, &cmd);
}

int rxe_adopt_file(int fd, pid_t tid)
{
	struct uverbs_cmd cmd;

	build_adopt(&cmd, 0, fd, tid);
	return uverbs_call(fd, &cmd);
}

void rxe_build_adopt_thread(struct uverbs_cmd *cmd, uint64_t base, int fd)
{
	build_adopt(cmd, base, fd, 0);
}

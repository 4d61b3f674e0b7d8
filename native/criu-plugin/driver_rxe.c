// SPDX-License-Identifier: GPL-2.0
/* The rxe driver behind the plugin's seam. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/rdma_user_rxe.h>

#include "driver.h"
#include "driver_rxe_dump.h"
#include "driver_rxe_events.h"
#include "driver_rxe_methods.h"
#include "driver_rxe_record.h"
#include "driver_rxe_ring.h"
#include "driver_rxe_thin.h"
#include "log.h"
#include "pack.h"

/* Only for a plugin on its own; an agent holds the device itself. */
#define HOLD_RNR_TIMER		20
#define HOLD_TIMEOUT_MS		10000

static int query(int fd, struct driver_info *info)
{
	struct sealift_rxe_query query;

	/* Another driver, or rxe without the methods: the kernel knows no such object. */
	if (rxe_query(fd, &query))
		return -EOPNOTSUPP;
	info->abi = query.abi_version;
	/* One that still receives datagrams is not held for what the plugin does. */
	info->held = query.held && !(query.hold_flags & SEALIFT_RXE_HOLD_RECEIVE_UD);
	return 0;
}

static int hold(int fd)
{
	int ret = rxe_hold(fd, HOLD_RNR_TIMER, HOLD_TIMEOUT_MS);

	if (ret)
		log_fail("hold", "the device cannot be held: %s", strerror(-ret));
	return ret;
}

static int resume(int fd)
{
	int ret = rxe_resume(fd);

	if (ret)
		log_fail("resume", "the device cannot be resumed: %s", strerror(-ret));
	return ret;
}

static int find_file(int fd, int event_fd, PB(FileKind) *kind, uint32_t *index, uint32_t *unread)
{
	struct sealift_rxe_fd found;
	int ret;

	*kind = SEALIFT__IBVERBS__FILE_KIND__CHANNEL;
	ret = rxe_find_fd(fd, SEALIFT_RXE_ATTR_FIND_FD_COMP, event_fd, &found);
	if (ret == -EBADF) {
		*kind = SEALIFT__IBVERBS__FILE_KIND__ASYNC;
		ret = rxe_find_fd(fd, SEALIFT_RXE_ATTR_FIND_FD_ASYNC, event_fd, &found);
	}
	if (ret)
		return ret;
	*index = found.index;
	*unread = found.pending;
	return 0;
}

/* As rxe_unpack_ring(), with a line in the log. */
static int unpack_ring(const ProtobufCBinaryData *packed, const struct sealift_rxe_ring *ring,
		       const struct mminfo *created, struct rxe_ring_bytes *bytes, const char *what, uint32_t number)
{
	int ret = rxe_unpack_ring(packed, ring, created->size, bytes);

	if (ret == -EINVAL)
		log_fail("image-damaged", "%s %#x has a queue of %u bytes, which its %zu bytes in the image are not",
			 what, number, ring->size, packed->len);
	return ret;
}

/* The struct that the driver has filled at the dump, if it has as many buffers. */
static int state_of(const PB(DriverState) *driver, void *state, size_t size, size_t buffers,
		    const char *what, uint32_t handle)
{
	if (driver->state.len != size || driver->n_buffers != buffers) {
		log_fail("image-damaged", "%s %u has driver state of a wrong size", what, handle);
		return -EINVAL;
	}
	memcpy(state, driver->state.data, size);
	return 0;
}

/* Where RESTORE has put a queue that the image says a place for. */
static uint64_t offset_of(const struct sealift_rxe_ring *ring, uint64_t created)
{
	return ring->mmap_offset ? ring->mmap_offset : created;
}

static int restore_cq(int fd, const PB(CompletionQueue) *cq, int channel_fd, uint32_t *handle,
		      uint64_t *offset)
{
	struct rxe_create_cq_resp created = {};
	struct uverbs_cq_request request = {
		.cqe = cq->cqe,
		.user_handle = cq->user_handle,
		.channel_fd = channel_fd,
		.driver_out = &created,
		.driver_out_size = sizeof(created),
	};
	struct rxe_ring_bytes ring = {};
	struct sealift_rxe_cq state;
	int ret;

	ret = state_of(cq->driver, &state, sizeof(state), 1, "completion queue", cq->handle);
	if (ret)
		return ret;

	ret = uverbs_create_cq(fd, &request, handle);
	if (!ret)
		ret = unpack_ring(&cq->driver->buffers[0], &state.ring, &created.mi, &ring,
				  "completion queue", cq->handle);
	if (!ret)
		ret = rxe_restore_cq(fd, *handle, &state, &ring.buffer);
	free(ring.memory);
	if (ret)
		log_fail("kernel", "completion queue %u cannot be restored: %s", cq->handle,
			 strerror(-ret));
	*offset = offset_of(&state.ring, created.mi.offset);
	return ret;
}

static int restore_srq(int fd, const PB(SharedReceiveQueue) *srq, uint32_t *handle,
		       uint64_t *offset)
{
	struct rxe_create_srq_resp created = {};
	struct uverbs_srq_request request = {
		.user_handle = srq->user_handle,
		.pd = srq->pd,
		.max_wr = srq->max_wr,
		.max_sge = srq->max_sge,
		.driver_out = &created,
		.driver_out_size = sizeof(created),
	};
	struct rxe_ring_bytes ring = {};
	struct sealift_rxe_srq state;
	int ret;

	ret = state_of(srq->driver, &state, sizeof(state), 1, "shared receive queue", srq->handle);
	if (ret)
		return ret;

	ret = uverbs_create_srq(fd, &request, handle);
	if (!ret)
		ret = unpack_ring(&srq->driver->buffers[0], &state.ring, &created.mi, &ring,
				  "shared receive queue", srq->handle);
	if (!ret)
		ret = rxe_restore_srq(fd, *handle, &state, &ring.buffer);
	free(ring.memory);
	if (ret)
		log_fail("kernel", "shared receive queue %u cannot be restored: %s", srq->handle,
			 strerror(-ret));
	*offset = offset_of(&state.ring, created.mi.offset);
	return ret;
}

/* It gets any path, then the dumped one: CREATE_AH alone would ask the network for it. */
static int restore_ah(int fd, const PB(AddressHandle) *ah, uint32_t *handle)
{
	struct rxe_create_ah_resp created = {};
	struct sealift_rxe_ah state;
	struct uverbs_ah_request request = {
		.user_handle = ah->user_handle,
		.pd = ah->pd,
		.port = ah->path->port,
		.sgid_index = ah->path->sgid_index,
		.driver_out = &created,
	};
	int ret;

	ret = state_of(ah->driver, &state, sizeof(state), 0, "address handle", ah->handle);
	if (ret)
		return ret;

	/* a provider without numbers asks for none, and the driver gives it none */
	if (state.number) {
		request.driver_out_size = sizeof(created);
		ret = rxe_hint(fd, SEALIFT_RXE_HINT_AH, state.number);
	}
	if (!ret)
		ret = uverbs_create_ah(fd, &request, handle);
	if (!ret)
		ret = rxe_restore_ah(fd, *handle, &state);
	if (ret)
		log_fail("kernel", "address handle %u cannot be restored: %s", ah->handle,
			 strerror(-ret));
	return ret;
}

/* Into *@res, for free(), goes the replay cache. */
static int unpack_qp(const PB(QueuePair) *qp, struct sealift_rxe_qp *state,
		     struct sealift_rxe_res **res)
{
	const PB(DriverState) *driver = qp->driver;
	int ret = -EINVAL;

	*res = NULL;
	if (driver->n_buffers == 3)
		ret = unpack(driver->state.data, driver->state.len, state, sizeof(*state));
	if (!ret)
		rxe_full_qp(state, qp);
	if (!ret && state->num_res > RXE_MAX_RING_BYTES / sizeof(**res))
		ret = -EINVAL;
	if (!ret) {
		*res = calloc(state->num_res + 1, sizeof(**res));
		ret = *res ? unpack(driver->buffers[2].data, driver->buffers[2].len, *res,
				    state->num_res * sizeof(**res)) : -ENOMEM;
	}
	if (ret == -EINVAL)
		log_fail("image-damaged", "queue pair %#x has driver state of a wrong size", qp->qpn);
	return ret;
}

static int create_qp(int fd, const PB(QueuePair) *qp, uint32_t *handle, struct rxe_create_qp_resp *created)
{
	struct uverbs_qp_request request = {
		.user_handle = qp->user_handle,
		.type = qp->type,
		.pd = qp->pd,
		.send_cq = qp->send_cq,
		.recv_cq = qp->recv_cq,
		.has_srq = qp->has_srq,
		.srq = qp->srq,
		.max_send_wr = qp->max_send_wr,
		.max_send_sge = qp->max_send_sge,
		.max_inline = qp->max_inline,
		.max_recv_wr = qp->max_recv_wr,
		.max_recv_sge = qp->max_recv_sge,
		.sq_sig_all = qp->sq_sig_all,
		.driver_out = created,
		.driver_out_size = sizeof(*created),
	};
	uint32_t qpn = 0;
	int ret;

	ret = rxe_hint(fd, SEALIFT_RXE_HINT_QPN, qp->qpn);
	if (!ret)
		ret = uverbs_create_qp(fd, &request, handle, &qpn);
	if (!ret && qpn != qp->qpn)
		ret = -EEXIST;
	if (ret)
		log_fail("kernel", "queue pair %#x cannot be created: %s", qp->qpn,
			 strerror(-ret));
	return ret;
}

/* Longer ones than the source's interface takes it may be set to, but nobody has got one. */
static unsigned int longest_packet(const struct sealift_rxe_qp_attr *attr)
{
	unsigned int mtu = attr->path_mtu < attr->active_mtu ? attr->path_mtu : attr->active_mtu;

	return 128U << (mtu & 7);
}

/* A device that begins anew would give out the numbers of objects that a peer still knows. */
static int restore_numbers(int fd, const PB(Driver) *driver)
{
	static const uint32_t types[] = {
		SEALIFT_RXE_HINT_NEXT_QPN, SEALIFT_RXE_HINT_NEXT_MR,
		SEALIFT_RXE_HINT_NEXT_MW, SEALIFT_RXE_HINT_NEXT_AH,
	};
	const size_t count = sizeof(types) / sizeof(types[0]);
	int ret = 0;

	if (driver->n_next_numbers != count) {
		log_fail("image-damaged", "a context has %zu next numbers, not %zu",
			 driver->n_next_numbers, count);
		return -EINVAL;
	}
	for (size_t i = 0; i < count && !ret; i++)
		ret = rxe_hint(fd, types[i], driver->next_numbers[i]);
	if (ret)
		log_fail("kernel", "the next numbers cannot be restored: %s", strerror(-ret));
	return ret;
}

/* The two rings of @qp as it was created, and the replay cache. */
static int restore_queues(int fd, const PB(QueuePair) *qp, uint32_t handle, const struct rxe_create_qp_resp *created,
			  const struct sealift_rxe_qp *state, const struct sealift_rxe_res *res)
{
	const ProtobufCBinaryData *packed = qp->driver->buffers;
	struct rxe_ring_bytes sq = {}, rq = {};
	struct sealift_rxe_qp_buffers buffers;
	int ret;

	ret = unpack_ring(&packed[0], &state->sq, &created->sq_mi, &sq, "queue pair", qp->qpn);
	if (!ret)
		ret = unpack_ring(&packed[1], &state->rq, &created->rq_mi, &rq, "queue pair", qp->qpn);
	buffers = (struct sealift_rxe_qp_buffers){ .sq = sq.buffer, .rq = rq.buffer };
	if (state->num_res)
		buffers.res = (struct sealift_rxe_buffer){
			.address = (uintptr_t)res,
			.size = state->num_res * sizeof(*res),
		};
	if (!ret)
		ret = rxe_restore_qp(fd, handle, state, &buffers);
	free(sq.memory);
	free(rq.memory);
	return ret;
}

static int restore_qp(int fd, const PB(QueuePair) *qp, bool error, uint32_t *handle,
		      uint64_t offset[2])
{
	struct rxe_create_qp_resp created = {};
	struct sealift_rxe_res *res;
	struct sealift_rxe_qp state;
	int ret;

	ret = unpack_qp(qp, &state, &res);
	if (!ret)
		ret = create_qp(fd, qp, handle, &created);
	if (ret) {
		free(res);
		return ret;
	}
	if (error)
		state.flags |= SEALIFT_RXE_QP_ERROR;
	ret = restore_queues(fd, qp, *handle, &created, &state, res);
	free(res);
	offset[0] = offset_of(&state.sq, created.sq_mi.offset);
	offset[1] = offset_of(&state.rq, created.rq_mi.offset);
	if (ret == -EMSGSIZE)
		log_fail("mtu",
			 "queue pair %#x sends packets of up to %u bytes, for which the target's interface is too small; give it the source's MTU",
			 qp->qpn, longest_packet(&state.attr));
	else if (ret)
		log_fail("kernel", "queue pair %#x cannot be restored: %s", qp->qpn,
			 strerror(-ret));
	return ret;
}

_Static_assert(DRIVER_KEYS_MAX <= SEALIFT_RXE_HINT_KEYS_MAX, "the driver takes as many");

static int hint_keys(int fd, const uint32_t *keys, size_t count)
{
	return count > DRIVER_KEYS_MAX ? -E2BIG : rxe_hint_keys(fd, keys, count);
}

const struct driver driver_rxe = {
	.name = "rxe",
	.abi = SEALIFT_RXE_ABI_VERSION,
	.query = query,
	.hold = hold,
	.resume = resume,
	.dump = rxe_dump,
	.find_file = find_file,
	.restore_cq = restore_cq,
	.restore_srq = restore_srq,
	.restore_ah = restore_ah,
	.restore_qp = restore_qp,
	.restore_numbers = restore_numbers,
	.restore_events = rxe_restore_file_events,
	.hint_keys = hint_keys,
	.adopt_file = rxe_adopt_file,
	.build_adopt_thread = rxe_build_adopt_thread,
	.may_write = rxe_may_write,
};

// SPDX-License-Identifier: GPL-2.0
/*
 * The driver methods of sealift_rxe.h: privilege and attributes. The methods
 * that dump and restore are in files of their own.
 */
#include <linux/capability.h>

#include "rxe_sealift_methods.h"

#define RXE_HOLD_FLAGS	(SEALIFT_RXE_HOLD_RECEIVE_UD | SEALIFT_RXE_HOLD_CHOOSE)

/* The initial user namespace, not the device's: the kernel believes an image. */
struct rxe_dev *rxe_sealift_dev(struct uverbs_attr_bundle *attrs)
{
	struct ib_ucontext *uc = ib_uverbs_get_ucontext(attrs);

	if (IS_ERR(uc))
		return ERR_CAST(uc);

	if (!checkpoint_restore_ns_capable(&init_user_ns))
		return ERR_PTR(-EPERM);

	return to_rdev(uc->device);
}

struct rxe_dev *rxe_sealift_lock_any_held(struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);

	if (IS_ERR(rxe))
		return rxe;

	if (mutex_lock_killable(&rxe->hold.lock))
		return ERR_PTR(-ERESTARTSYS);

	if (!rxe_is_held(&rxe->hold)) {
		mutex_unlock(&rxe->hold.lock);
		return ERR_PTR(-EBUSY);
	}

	return rxe;
}

struct rxe_dev *rxe_sealift_lock_held(struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_lock_any_held(attrs);

	if (!IS_ERR(rxe) && !rxe_is_held_fully(&rxe->hold)) {
		mutex_unlock(&rxe->hold.lock);
		return ERR_PTR(-EBUSY);
	}

	return rxe;
}

void rxe_sealift_unlock(struct rxe_dev *rxe)
{
	mutex_unlock(&rxe->hold.lock);
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_QUERY)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_ucontext *uc = ib_uverbs_get_ucontext(attrs);
	struct sealift_rxe_query out = {};
	struct rxe_dev *rxe;
	u8 state;

	if (IS_ERR(uc))
		return PTR_ERR(uc);

	rxe = to_rdev(uc->device);
	state = READ_ONCE(rxe->hold.state);
	out.abi_version = SEALIFT_RXE_ABI_VERSION;
	out.held = state != RXE_NOT_HELD;
	if (state == RXE_HELD_BUT_UD)
		out.hold_flags |= SEALIFT_RXE_HOLD_RECEIVE_UD;
	if (out.held && READ_ONCE(rxe->hold.chooses))
		out.hold_flags |= SEALIFT_RXE_HOLD_CHOOSE;
	out.rnr_timer = READ_ONCE(rxe->hold.timer);
	out.num_qp = atomic_read(&rxe->qp_pool.num_elem);
	out.num_cq = atomic_read(&rxe->cq_pool.num_elem);
	out.num_mr = atomic_read(&rxe->mr_pool.num_elem);
	out.min_qpn = rxe->qp_pool.limit.min;
	out.max_qpn = rxe->qp_pool.limit.max;
	out.min_mr_index = rxe->mr_pool.limit.min;
	out.max_mr_index = rxe->mr_pool.limit.max;
	out.max_send_sge = rxe->attr.max_send_sge;
	out.max_rd_atomic = rxe->attr.max_qp_rd_atom;

	return uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_QUERY_OUT, &out,
			      sizeof(out));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HOLD)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	enum rxe_hold_state state = RXE_HELD;
	struct sealift_rxe_hold in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_HOLD_IN);
	if (err)
		return err;

	if (in.rnr_timer > 31 || !in.timeout_ms ||
	    in.timeout_ms > SEALIFT_RXE_MAX_TIMEOUT_MS ||
	    in.flags & ~RXE_HOLD_FLAGS || in.reserved)
		return -EINVAL;

	if (in.flags & SEALIFT_RXE_HOLD_RECEIVE_UD)
		state = RXE_HELD_BUT_UD;

	if (mutex_lock_killable(&rxe->hold.lock))
		return -ERESTARTSYS;

	err = rxe_fault_around(RXE_FAULT_HOLD,
			       rxe_hold(rxe, state, in.rnr_timer,
					in.flags & SEALIFT_RXE_HOLD_CHOOSE,
					msecs_to_jiffies(in.timeout_ms)));
	mutex_unlock(&rxe->hold.lock);

	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESUME)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_resume in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESUME_IN);
	if (err)
		return err;

	if (in.flags || in.reserved)
		return -EINVAL;

	if (mutex_lock_killable(&rxe->hold.lock))
		return -ERESTARTSYS;

	err = rxe_fault_around(RXE_FAULT_RESUME, (rxe_resume(rxe), 0));
	mutex_unlock(&rxe->hold.lock);

	return err;
}

#define RXE_SEALIFT_IN(_attr, _type) \
	UVERBS_ATTR_PTR_IN(_attr, UVERBS_ATTR_TYPE(_type), UA_MANDATORY)
#define RXE_SEALIFT_OUT(_attr, _type) \
	UVERBS_ATTR_PTR_OUT(_attr, UVERBS_ATTR_TYPE(_type), UA_MANDATORY)
/*
 * A dump takes its object with UVERBS_ACCESS_WRITE, too: modify, resize and
 * destroy replace what it reads.
 */
#define RXE_SEALIFT_OBJ(_attr, _object, _access) \
	UVERBS_ATTR_IDR(_attr, _object, _access, UA_MANDATORY)

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_QUERY,
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_QUERY_OUT, struct sealift_rxe_query));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_HOLD,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_HOLD_IN, struct sealift_rxe_hold));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESUME,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESUME_IN, struct sealift_rxe_resume));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_CONTEXT,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN,
		       struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT,
			struct sealift_rxe_context));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_FIND_FD,
	UVERBS_ATTR_FD(SEALIFT_RXE_ATTR_FIND_FD_COMP,
		       UVERBS_OBJECT_COMP_CHANNEL, UVERBS_ACCESS_READ,
		       UA_OPTIONAL),
	UVERBS_ATTR_FD(SEALIFT_RXE_ATTR_FIND_FD_ASYNC,
		       UVERBS_OBJECT_ASYNC_EVENT, UVERBS_ACCESS_READ,
		       UA_OPTIONAL),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_FIND_FD_OUT, struct sealift_rxe_fd));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_CQ,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE, UVERBS_OBJECT_CQ,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_CQ_IN, struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_CQ_OUT, struct sealift_rxe_cq));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_MR,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_DUMP_MR_HANDLE, UVERBS_OBJECT_MR,
			UVERBS_ACCESS_READ),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_MR_OUT, struct sealift_rxe_mr));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_QP,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_DUMP_QP_HANDLE, UVERBS_OBJECT_QP,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_QP_IN,
		       struct sealift_rxe_qp_buffers),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_QP_OUT, struct sealift_rxe_qp));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_HINT,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_HINT_IN, struct sealift_rxe_hint),
	UVERBS_ATTR_PTR_IN(SEALIFT_RXE_ATTR_HINT_KEYS,
			   UVERBS_ATTR_SIZE(sizeof(u32),
					    SEALIFT_RXE_HINT_KEYS_MAX * sizeof(u32)),
			   UA_OPTIONAL, UA_ALLOC_AND_COPY));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_CQ,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE, UVERBS_OBJECT_CQ,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_CQ_IN, struct sealift_rxe_cq),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_CQ_RING,
		       struct sealift_rxe_buffer));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_QP,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE, UVERBS_OBJECT_QP,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_QP_IN, struct sealift_rxe_qp),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_QP_BUFFERS,
		       struct sealift_rxe_qp_buffers));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_ADOPT,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_ADOPT_IN, struct sealift_rxe_adopt));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_MAY_WRITE,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_MAY_WRITE_IN,
		       struct sealift_rxe_adopt));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_LIST,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_LIST_IN, struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_LIST_OUT, struct sealift_rxe_list));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_SRQ,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_DUMP_SRQ_HANDLE, UVERBS_OBJECT_SRQ,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_SRQ_IN, struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_SRQ_OUT, struct sealift_rxe_srq));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_SRQ,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_RESTORE_SRQ_HANDLE, UVERBS_OBJECT_SRQ,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_SRQ_IN, struct sealift_rxe_srq),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_SRQ_RING,
		       struct sealift_rxe_buffer));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_AH,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_DUMP_AH_HANDLE, UVERBS_OBJECT_AH,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_AH_OUT, struct sealift_rxe_ah));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_AH,
	RXE_SEALIFT_OBJ(SEALIFT_RXE_ATTR_RESTORE_AH_HANDLE, UVERBS_OBJECT_AH,
			UVERBS_ACCESS_WRITE),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_AH_IN, struct sealift_rxe_ah));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_EVENTS,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_EVENTS_IN,
		       struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_EVENTS_OUT,
			struct sealift_rxe_events));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_EVENTS,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_EVENTS_IN,
		       struct sealift_rxe_events),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_EVENTS_LIST,
		       struct sealift_rxe_buffer));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_DUMP_NAKS,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_NAKS_IN,
		       struct sealift_rxe_buffer),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_NAKS_OUT,
			struct sealift_rxe_naks));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_RESTORE_NAK,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_RESTORE_NAK_IN,
		       struct sealift_rxe_nak));

DECLARE_UVERBS_GLOBAL_METHODS(
	SEALIFT_RXE_OBJECT,
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_QUERY),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_HOLD),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESUME),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_CONTEXT),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_FIND_FD),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_CQ),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_MR),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_QP),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_HINT),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_CQ),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_QP),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_ADOPT),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_LIST),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_SRQ),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_SRQ),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_AH),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_AH),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_MAY_WRITE),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_EVENTS),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_EVENTS),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_DUMP_NAKS),
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_RESTORE_NAK));

const struct uapi_definition rxe_sealift_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE_NAMED(SEALIFT_RXE_OBJECT),
	{},
};

// SPDX-License-Identifier: GPL-2.0
/*
 * The driver methods of sealift_rxe.h: who may call, what comes in and out.
 */
#include <linux/capability.h>
#include <linux/slab.h>

#include "rxe_sealift.h"

#define UVERBS_MODULE_NAME rxe_sealift
#include <rdma/uverbs_named_ioctl.h>

/* The device of the calling context, if the caller may do more than ask. */
static struct rxe_dev *rxe_sealift_dev(struct uverbs_attr_bundle *attrs)
{
	struct ib_ucontext *uc = ib_uverbs_get_ucontext(attrs);
	struct net_device *ndev;
	struct rxe_dev *rxe;
	bool allowed;

	if (IS_ERR(uc))
		return ERR_CAST(uc);

	rxe = to_rdev(uc->device);
	ndev = rxe_ib_device_get_netdev(&rxe->ib_dev);
	if (!ndev)
		return ERR_PTR(-ENODEV);

	allowed = checkpoint_restore_ns_capable(dev_net(ndev)->user_ns);
	dev_put(ndev);

	return allowed ? rxe : ERR_PTR(-EPERM);
}

/* Lock the device in its hold, so that what is dumped or restored stays. */
static struct rxe_dev *rxe_sealift_lock_held(struct uverbs_attr_bundle *attrs)
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

static void rxe_sealift_unlock(struct rxe_dev *rxe)
{
	mutex_unlock(&rxe->hold.lock);
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_QUERY)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_ucontext *uc = ib_uverbs_get_ucontext(attrs);
	struct sealift_rxe_query out = {};
	struct rxe_dev *rxe;

	if (IS_ERR(uc))
		return PTR_ERR(uc);

	rxe = to_rdev(uc->device);
	out.abi_version = SEALIFT_RXE_ABI_VERSION;
	out.held = rxe_is_held(&rxe->hold);
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

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HOLD)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_hold in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_HOLD_IN);
	if (err)
		return err;

	if (in.rnr_timer > 31 || !in.timeout_ms ||
	    in.timeout_ms > SEALIFT_RXE_MAX_TIMEOUT_MS)
		return -EINVAL;

	if (mutex_lock_killable(&rxe->hold.lock))
		return -ERESTARTSYS;

	err = rxe_hold(rxe, in.rnr_timer, msecs_to_jiffies(in.timeout_ms));
	mutex_unlock(&rxe->hold.lock);

	return err;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESUME)(
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

	rxe_resume(rxe);
	mutex_unlock(&rxe->hold.lock);

	return 0;
}

static int rxe_sealift_list(struct ib_uverbs_file *ufile,
			    const struct sealift_rxe_buffer *buf, u32 *count)
{
	struct sealift_rxe_object *objs;
	u32 max;
	int err = 0;

	*count = rxe_uobject_list(ufile, NULL, 0);
	if (!buf->address)
		return 0;

	max = buf->size / sizeof(*objs);
	if (max < *count)
		return -ENOSPC;

	/* no more than there are, whatever size the caller claims to have */
	max = *count;
	if (!max)
		return 0;

	objs = kvcalloc(max, sizeof(*objs), GFP_KERNEL);
	if (!objs)
		return -ENOMEM;

	*count = rxe_uobject_list(ufile, objs, max);
	if (*count > max)
		err = -ENOSPC;
	else if (copy_to_user(u64_to_user_ptr(buf->address), objs,
			      *count * sizeof(*objs)))
		err = -EFAULT;

	kvfree(objs);
	return err;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CONTEXT)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_context out = {};
	struct sealift_rxe_buffer in;
	int err, err2;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	err = rxe_sealift_list(attrs->ufile, &in, &out.count);
	if (err && err != -ENOSPC)
		return err;

	rxe_uobject_dump_context(attrs->ufile, &out);
	out.num_comp_vectors = rxe->ib_dev.num_comp_vectors;

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_FIND_FD)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct ib_uobject *comp, *async;
	struct sealift_rxe_fd out = {};

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	comp = uverbs_attr_get_uobject(attrs, SEALIFT_RXE_ATTR_FIND_FD_COMP);
	async = uverbs_attr_get_uobject(attrs, SEALIFT_RXE_ATTR_FIND_FD_ASYNC);
	if (IS_ERR(comp) == IS_ERR(async))
		return -EINVAL;

	if (!IS_ERR(comp))
		rxe_uobject_dump_channel(comp, &out);
	else
		rxe_uobject_dump_async(async, &out);

	return uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_FIND_FD_OUT, &out,
			      sizeof(out));
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_cq *ibcq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE);
	struct sealift_rxe_cq out = {};
	struct sealift_rxe_buffer in;
	struct rxe_dev *rxe;
	int err, err2;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_CQ_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_dump_cq(to_rcq(ibcq), &in, &out);
	rxe_sealift_unlock(rxe);

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_CQ_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_MR)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_mr *ibmr =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_MR_HANDLE);
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_mr out = {};
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_dump_mr(to_rmr(ibmr), &out);
	if (err)
		return err;

	return uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_MR_OUT, &out,
			      sizeof(out));
}

static int rxe_sealift_check_buffers(const struct sealift_rxe_qp_buffers *bufs)
{
	if (rxe_check_buffer(&bufs->sq) || rxe_check_buffer(&bufs->rq) ||
	    rxe_check_buffer(&bufs->res))
		return -EINVAL;

	return 0;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_QP)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_qp *ibqp =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_QP_HANDLE);
	struct sealift_rxe_qp_buffers in;
	struct sealift_rxe_qp *out;
	struct rxe_dev *rxe;
	int err, err2;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_QP_IN);
	if (!err)
		err = rxe_sealift_check_buffers(&in);
	if (err)
		return err;

	out = kzalloc(sizeof(*out), GFP_KERNEL);
	if (!out)
		return -ENOMEM;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_dump_qp(to_rqp(ibqp), &in, out);
	rxe_sealift_unlock(rxe);

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_QP_OUT, out,
			      sizeof(*out));
	err = err ?: err2;
out:
	kfree(out);
	return err;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HINT)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_hint in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_HINT_IN);
	if (err)
		return err;

	return rxe_hint_set(to_ruc(ib_uverbs_get_ucontext(attrs)), in.type,
			    in.value);
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_CQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_cq *ibcq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE);
	struct sealift_rxe_buffer ring;
	struct sealift_rxe_cq in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_CQ_IN);
	if (!err)
		err = uverbs_copy_from(&ring, attrs,
				       SEALIFT_RXE_ATTR_RESTORE_CQ_RING);
	if (err)
		return err;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_restore_cq(to_rcq(ibcq), &in, &ring);
	rxe_sealift_unlock(rxe);

	return err;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_QP)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_qp *ibqp =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE);
	struct sealift_rxe_qp_buffers bufs;
	struct sealift_rxe_qp *in;
	struct rxe_dev *rxe;
	int err;

	in = kzalloc(sizeof(*in), GFP_KERNEL);
	if (!in)
		return -ENOMEM;

	err = uverbs_copy_from(in, attrs, SEALIFT_RXE_ATTR_RESTORE_QP_IN);
	if (!err)
		err = uverbs_copy_from(&bufs, attrs,
				       SEALIFT_RXE_ATTR_RESTORE_QP_BUFFERS);
	if (err)
		goto out;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_restore_qp(to_rqp(ibqp), in, &bufs);
	rxe_sealift_unlock(rxe);
out:
	kfree(in);
	return err;
}

static int UVERBS_HANDLER(SEALIFT_RXE_METHOD_ADOPT)(
	struct uverbs_attr_bundle *attrs)
{
	struct sealift_rxe_adopt in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_ADOPT_IN);
	if (err)
		return err;

	/* for another thread: only who may restore it */
	if (in.tid) {
		rxe = rxe_sealift_dev(attrs);
		if (IS_ERR(rxe))
			return PTR_ERR(rxe);
	}

	return rxe_adopt(attrs->ufile, &in);
}

#define RXE_SEALIFT_IN(_attr, _type) \
	UVERBS_ATTR_PTR_IN(_attr, UVERBS_ATTR_TYPE(_type), UA_MANDATORY)
#define RXE_SEALIFT_OUT(_attr, _type) \
	UVERBS_ATTR_PTR_OUT(_attr, UVERBS_ATTR_TYPE(_type), UA_MANDATORY)
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
			UVERBS_ACCESS_READ),
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
			UVERBS_ACCESS_READ),
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_DUMP_QP_IN,
		       struct sealift_rxe_qp_buffers),
	RXE_SEALIFT_OUT(SEALIFT_RXE_ATTR_DUMP_QP_OUT, struct sealift_rxe_qp));

DECLARE_UVERBS_NAMED_METHOD(
	SEALIFT_RXE_METHOD_HINT,
	RXE_SEALIFT_IN(SEALIFT_RXE_ATTR_HINT_IN, struct sealift_rxe_hint));

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
	&UVERBS_METHOD(SEALIFT_RXE_METHOD_ADOPT));

const struct uapi_definition rxe_sealift_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE_NAMED(SEALIFT_RXE_OBJECT),
	{},
};

// SPDX-License-Identifier: GPL-2.0
/* The methods that list and dump objects. */
#include <linux/slab.h>

#include "rxe_sealift_methods.h"

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

	/* allocate for what there is, not for the size that the caller says */
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

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CONTEXT)(
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

	err = rxe_fault_around(RXE_FAULT_DUMP_CONTEXT,
			       rxe_sealift_list(attrs->ufile, &in, &out.count));
	if (err && err != -ENOSPC)
		return err;

	rxe_uobject_dump_context(attrs->ufile, &out);
	out.num_comp_vectors = rxe->ib_dev.num_comp_vectors;
	rxe_next_numbers(rxe, &out);

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

static int rxe_sealift_find(struct ib_uobject *comp, struct ib_uobject *async,
			    struct sealift_rxe_fd *out)
{
	if (!IS_ERR(comp))
		rxe_uobject_dump_channel(comp, out);
	else
		rxe_uobject_dump_async(async, out);

	return 0;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_FIND_FD)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct ib_uobject *comp, *async;
	struct sealift_rxe_fd out = {};
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	comp = uverbs_attr_get_uobject(attrs, SEALIFT_RXE_ATTR_FIND_FD_COMP);
	async = uverbs_attr_get_uobject(attrs, SEALIFT_RXE_ATTR_FIND_FD_ASYNC);
	if (IS_ERR(comp) == IS_ERR(async))
		return -EINVAL;

	err = rxe_fault_around(RXE_FAULT_FIND_FD,
			       rxe_sealift_find(comp, async, &out));
	if (err)
		return err;

	return uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_FIND_FD_OUT, &out,
			      sizeof(out));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_cq *ibcq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE);
	struct sealift_rxe_cq out = {};
	struct rxe_bytes bytes = {};
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

	err = rxe_fault_around(RXE_FAULT_DUMP_CQ,
			       rxe_dump_cq(to_rcq(ibcq), &in, &out, &bytes));
	rxe_sealift_unlock(rxe);

	if (!err)
		err = rxe_bytes_to_user(&bytes, &in);
	rxe_bytes_free(&bytes, 1);
	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_CQ_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_MR)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_mr *ibmr =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_MR_HANDLE);
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_mr out = {};
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_DUMP_MR,
			       rxe_dump_mr(to_rmr(ibmr), &out));
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

static int rxe_sealift_buffers_to_user(const struct rxe_bytes *bytes,
				       const struct sealift_rxe_qp_buffers *bufs)
{
	int err;

	err = rxe_bytes_to_user(&bytes[RXE_BYTES_SQ], &bufs->sq);
	if (!err)
		err = rxe_bytes_to_user(&bytes[RXE_BYTES_RQ], &bufs->rq);
	if (!err)
		err = rxe_bytes_to_user(&bytes[RXE_BYTES_RES], &bufs->res);

	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_QP)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_qp *ibqp =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_QP_HANDLE);
	struct rxe_bytes bytes[RXE_BYTES_QP] = {};
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

	err = rxe_fault_around(RXE_FAULT_DUMP_QP,
			       rxe_dump_qp(to_rqp(ibqp), &in, out, bytes));
	rxe_sealift_unlock(rxe);

	if (!err)
		err = rxe_sealift_buffers_to_user(bytes, &in);
	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_QP_OUT, out,
			      sizeof(*out));
	err = err ?: err2;
out:
	rxe_bytes_free(bytes, RXE_BYTES_QP);
	kfree(out);
	return err;
}

static int rxe_sealift_list_device(struct rxe_dev *rxe,
				   const struct sealift_rxe_buffer *buf,
				   u32 *count)
{
	struct sealift_rxe_device_object *objs;
	u32 max;
	int err;

	err = rxe_list(rxe, NULL, 0, count);
	if (err || !buf->address)
		return err;

	max = buf->size / sizeof(*objs);
	if (max < *count)
		return -ENOSPC;

	max = *count;
	if (!max)
		return 0;

	objs = kvcalloc(max, sizeof(*objs), GFP_KERNEL_ACCOUNT);
	if (!objs)
		return -ENOMEM;

	err = rxe_list(rxe, objs, max, count);
	if (err)
		goto out;

	if (*count > max)
		err = -ENOSPC;
	else if (copy_to_user(u64_to_user_ptr(buf->address), objs,
			      *count * sizeof(*objs)))
		err = -EFAULT;
out:
	kvfree(objs);
	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_LIST)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_list out = {};
	struct sealift_rxe_buffer in;
	int err, err2;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_LIST_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	err = rxe_fault_around(RXE_FAULT_LIST,
			       rxe_sealift_list_device(rxe, &in, &out.count));
	if (err && err != -ENOSPC)
		return err;

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_LIST_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

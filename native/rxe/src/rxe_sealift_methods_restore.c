// SPDX-License-Identifier: GPL-2.0
/* The methods that restore objects. */
#include <linux/slab.h>

#include "rxe_sealift_methods.h"

static int rxe_sealift_hint(struct uverbs_attr_bundle *attrs,
			    const struct sealift_rxe_hint *in)
{
	struct rxe_ucontext *uc = to_ruc(ib_uverbs_get_ucontext(attrs));
	const u32 *keys = NULL;
	int len = 0, err;

	if (uverbs_attr_is_valid(attrs, SEALIFT_RXE_ATTR_HINT_KEYS)) {
		keys = uverbs_attr_get_alloced_ptr(attrs,
						   SEALIFT_RXE_ATTR_HINT_KEYS);
		len = uverbs_attr_get_len(attrs, SEALIFT_RXE_ATTR_HINT_KEYS);
		if (len % sizeof(*keys) || in->type != SEALIFT_RXE_HINT_NONE)
			return -EINVAL;
	}

	err = rxe_hint_set(uc, in->type, in->value);
	if (err || in->type != SEALIFT_RXE_HINT_NONE)
		return err;

	return rxe_hint_set_keys(uc, keys, len / sizeof(*keys));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HINT)(
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

	return rxe_fault_around(RXE_FAULT_HINT, rxe_sealift_hint(attrs, &in));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_CQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_cq *ibcq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE);
	struct sealift_rxe_buffer ring;
	struct rxe_bytes bytes = {};
	struct sealift_rxe_cq in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_CQ_IN);
	if (!err)
		err = uverbs_copy_from(&ring, attrs,
				       SEALIFT_RXE_ATTR_RESTORE_CQ_RING);
	if (err)
		return err;

	rxe = rxe_sealift_dev(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_restore_copy_cq(to_rcq(ibcq), &in, &ring, &bytes);
	if (err)
		goto out;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_fault_around(RXE_FAULT_RESTORE_CQ,
			       rxe_restore_cq(to_rcq(ibcq), &in, &bytes));
	rxe_sealift_unlock(rxe);
out:
	rxe_bytes_free(&bytes, 1);
	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_QP)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_qp *ibqp =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE);
	struct rxe_bytes bytes[RXE_BYTES_QP] = {};
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

	rxe = rxe_sealift_dev(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_restore_copy_qp(to_rqp(ibqp), in, &bufs, bytes);
	if (err)
		goto out;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_fault_around(RXE_FAULT_RESTORE_QP,
			       rxe_restore_qp(to_rqp(ibqp), in, bytes));
	rxe_sealift_unlock(rxe);
out:
	rxe_bytes_free(bytes, RXE_BYTES_QP);
	kfree(in);
	return err;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_ADOPT)(
	struct uverbs_attr_bundle *attrs)
{
	struct sealift_rxe_adopt in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_ADOPT_IN);
	if (err)
		return err;

	/* the credentials of another thread need the privilege of a restore */
	if (in.tid) {
		rxe = rxe_sealift_dev(attrs);
		if (IS_ERR(rxe))
			return PTR_ERR(rxe);
	}

	return rxe_fault_around(RXE_FAULT_ADOPT, rxe_adopt(attrs->ufile, &in));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_MAY_WRITE)(
	struct uverbs_attr_bundle *attrs)
{
	struct rxe_dev *rxe = rxe_sealift_dev(attrs);
	struct sealift_rxe_adopt in;
	int err;

	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_MAY_WRITE_IN);
	if (err)
		return err;
	if (!in.tid)
		return -EINVAL;

	return rxe_may_write(attrs->ufile, &in);
}

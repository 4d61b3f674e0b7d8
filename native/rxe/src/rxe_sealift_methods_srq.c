// SPDX-License-Identifier: GPL-2.0
/* The methods that dump and restore shared receive queues. */
#include "rxe_sealift_methods.h"

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_SRQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_srq *ibsrq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_SRQ_HANDLE);
	struct sealift_rxe_srq out = {};
	struct rxe_bytes bytes = {};
	struct sealift_rxe_buffer in;
	struct rxe_dev *rxe;
	int err, err2;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_SRQ_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_DUMP_SRQ,
			       rxe_dump_srq(to_rsrq(ibsrq), &in, &out, &bytes));
	rxe_sealift_unlock(rxe);

	if (!err)
		err = rxe_bytes_to_user(&bytes, &in);
	rxe_bytes_free(&bytes, 1);
	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_SRQ_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_SRQ)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_srq *ibsrq =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_SRQ_HANDLE);
	struct sealift_rxe_buffer ring;
	struct rxe_bytes bytes = {};
	struct sealift_rxe_srq in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_SRQ_IN);
	if (!err)
		err = uverbs_copy_from(&ring, attrs,
				       SEALIFT_RXE_ATTR_RESTORE_SRQ_RING);
	if (err)
		return err;

	rxe = rxe_sealift_dev(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_restore_copy_srq(to_rsrq(ibsrq), &in, &ring, &bytes);
	if (err)
		goto out;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe)) {
		err = PTR_ERR(rxe);
		goto out;
	}

	err = rxe_fault_around(RXE_FAULT_RESTORE_SRQ,
			       rxe_restore_srq(to_rsrq(ibsrq), &in, &bytes));
	rxe_sealift_unlock(rxe);
out:
	rxe_bytes_free(&bytes, 1);
	return err;
}

// SPDX-License-Identifier: GPL-2.0
/* The methods that dump and restore address handles. */
#include "rxe_sealift_methods.h"

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_AH)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_ah *ibah =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_DUMP_AH_HANDLE);
	struct sealift_rxe_ah out = {};
	struct rxe_dev *rxe;
	int err;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_DUMP_AH,
			       (rxe_dump_ah(to_rah(ibah), &out), 0));
	rxe_sealift_unlock(rxe);
	if (err)
		return err;

	return uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_AH_OUT, &out,
			      sizeof(out));
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_AH)(
	struct uverbs_attr_bundle *attrs)
{
	struct ib_ah *ibah =
		uverbs_attr_get_obj(attrs, SEALIFT_RXE_ATTR_RESTORE_AH_HANDLE);
	struct sealift_rxe_ah in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_AH_IN);
	if (err)
		return err;

	rxe = rxe_sealift_lock_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_RESTORE_AH,
			       rxe_restore_ah(to_rah(ibah), &in));
	rxe_sealift_unlock(rxe);

	return err;
}

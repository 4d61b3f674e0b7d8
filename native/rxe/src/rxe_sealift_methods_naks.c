// SPDX-License-Identifier: GPL-2.0
/* The methods of NAKs that end a connection. */
#include <linux/slab.h>

#include "rxe_sealift_methods.h"

/*
 * The caller has the hold's lock, so that nobody obeys a NAK meanwhile. Another
 * one may come. @naks is allocated if user space wants them.
 */
static int rxe_sealift_dump_naks(struct rxe_dev *rxe,
				 const struct sealift_rxe_buffer *buf,
				 struct sealift_rxe_nak **naks, u32 *count)
{
	u32 max;
	int err;

	err = rxe_naks_settle(rxe);
	if (err)
		return err;

	max = rxe_naks_dump(rxe, NULL, 0);
	*count = max;
	if (!buf->address)
		return 0;
	if (buf->size / sizeof(**naks) < max)
		return -ENOSPC;
	if (!max)
		return 0;

	*naks = kvcalloc(max, sizeof(**naks), GFP_KERNEL_ACCOUNT);
	if (!*naks)
		return -ENOMEM;

	*count = rxe_naks_dump(rxe, *naks, max);
	return *count > max ? -ENOSPC : 0;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_NAKS)(
	struct uverbs_attr_bundle *attrs)
{
	struct sealift_rxe_nak *naks = NULL;
	struct sealift_rxe_naks out = {};
	struct sealift_rxe_buffer in;
	struct rxe_dev *rxe;
	int err, err2;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_DUMP_NAKS_IN);
	if (!err)
		err = rxe_check_buffer(&in);
	if (err)
		return err;

	rxe = rxe_sealift_lock_any_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_DUMP_NAKS,
			       rxe_sealift_dump_naks(rxe, &in, &naks,
						     &out.count));
	rxe_sealift_unlock(rxe);

	if (!err && naks &&
	    copy_to_user(u64_to_user_ptr(in.address), naks,
			 out.count * sizeof(*naks)))
		err = -EFAULT;
	kvfree(naks);
	if (err && err != -ENOSPC)
		return err;

	err2 = uverbs_copy_to(attrs, SEALIFT_RXE_ATTR_DUMP_NAKS_OUT, &out,
			      sizeof(out));
	return err ?: err2;
}

int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_NAK)(
	struct uverbs_attr_bundle *attrs)
{
	struct sealift_rxe_nak in;
	struct rxe_dev *rxe;
	int err;

	err = uverbs_copy_from(&in, attrs, SEALIFT_RXE_ATTR_RESTORE_NAK_IN);
	if (err)
		return err;

	rxe = rxe_sealift_lock_any_held(attrs);
	if (IS_ERR(rxe))
		return PTR_ERR(rxe);

	err = rxe_fault_around(RXE_FAULT_RESTORE_NAK,
			       rxe_nak_restore(rxe, &in));
	rxe_sealift_unlock(rxe);

	return err;
}

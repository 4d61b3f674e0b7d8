// SPDX-License-Identifier: GPL-2.0
/* The methods and verbs of address handles. */
#include "method.h"

#include <string.h>

#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <rdma/rdma_user_rxe.h>

#define NUM(a) (sizeof(a) / sizeof((a)[0]))
#define AT(p) ((uintptr_t)(p))

int sl_dump_ah(int fd, uint32_t handle, struct sealift_rxe_ah *out)
{
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_DUMP_AH_HANDLE, 0, handle },
		{ SEALIFT_RXE_ATTR_DUMP_AH_OUT, sizeof(*out), AT(out) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_AH,
		       attrs, NUM(attrs));
}

int sl_restore_ah(int fd, uint32_t handle, const struct sealift_rxe_ah *in)
{
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_RESTORE_AH_HANDLE, 0, handle },
		{ SEALIFT_RXE_ATTR_RESTORE_AH_IN, sizeof(*in), AT(in) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_AH,
		       attrs, NUM(attrs));
}

int raw_create_ah(int fd, const struct sealift_rxe_ah *like, uint32_t *handle,
		  uint32_t *number)
{
	static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };
	struct ib_uverbs_create_ah in = {
		.user_handle = like->user_handle,
		.pd_handle = like->pd_handle,
		.attr = {
			.grh.sgid_index = like->av.sgid_index,
			.is_global = 1,
			.port_num = 1,
		},
	};
	struct ib_uverbs_create_ah_resp resp;
	struct rxe_create_ah_resp uhw = { 0 };
	struct sl_attr attrs[] = {
		{ UVERBS_ATTR_WRITE_CMD, 8, IB_USER_VERBS_CMD_CREATE_AH },
		{ UVERBS_ATTR_CORE_IN, sizeof(in), AT(&in) },
		{ UVERBS_ATTR_CORE_OUT, sizeof(resp), AT(&resp) },
		{ UVERBS_ATTR_UHW_OUT, sizeof(uhw), AT(&uhw) },
	};
	int err;

	memcpy(in.attr.grh.dgid, all_nodes, sizeof(all_nodes));
	err = sl_call(fd, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE,
		      attrs, like->number ? NUM(attrs) : NUM(attrs) - 1);
	if (err)
		return err;

	*handle = resp.ah_handle;
	*number = uhw.ah_num;
	return 0;
}

int raw_destroy_ah(int fd, uint32_t handle)
{
	struct sl_attr attr = { UVERBS_ATTR_DESTROY_AH_HANDLE, 0, handle };

	return sl_call(fd, UVERBS_OBJECT_AH, UVERBS_METHOD_AH_DESTROY, &attr,
		       1);
}

// SPDX-License-Identifier: GPL-2.0
/* Command buffers: the encoding that the kernel expects, wherever the buffer will lie. */
#include <errno.h>
#include <string.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_verbs.h>

#include "unit.h"
#include "uverbs.h"

static const struct ib_uverbs_attr *attrs(const struct uverbs_cmd *cmd)
{
	return (const struct ib_uverbs_attr *)(cmd->bytes + sizeof(cmd->hdr));
}

static void remote_pointers(void)
{
	struct uverbs_mr_request request = { .start = 0x1000, .length = 2, .iova = 0x1000,
					     .pd = 3, .access = 1 };
	const uint64_t base = 0x7f0000000000;
	const struct ib_uverbs_reg_mr *in;
	struct uverbs_cmd cmd;
	uint32_t out;

	out = uverbs_build_reg_mr(&cmd, base, &request);
	CHECK(cmd.hdr.num_attrs == 3);
	CHECK(cmd.hdr.length == sizeof(cmd.hdr) + 3 * sizeof(struct ib_uverbs_attr));
	CHECK(cmd.hdr.method_id == UVERBS_METHOD_INVOKE_WRITE);
	CHECK(attrs(&cmd)[0].attr_id == UVERBS_ATTR_CORE_IN);
	CHECK(attrs(&cmd)[0].data > base && attrs(&cmd)[0].data < base + cmd.used);
	in = (const void *)(cmd.bytes + (attrs(&cmd)[0].data - base));
	CHECK(in->start == 0x1000 && in->pd_handle == 3);
	CHECK(attrs(&cmd)[1].data == IB_USER_VERBS_CMD_REG_MR && attrs(&cmd)[1].len == 8);
	CHECK(attrs(&cmd)[2].data == base + out);
}

static void limits(void)
{
	struct uverbs_cmd cmd;
	uint8_t big[3000] = {};

	uverbs_init(&cmd, 0, 1, 1);
	uverbs_in_u32(&cmd, 5, 0x11223344);
	CHECK(attrs(&cmd)[0].len == 4 && attrs(&cmd)[0].data == 0x11223344);
	uverbs_in(&cmd, 6, big, sizeof(big));
	CHECK(cmd.used <= sizeof(cmd.bytes));
	uverbs_in(&cmd, 7, big, sizeof(big));
	CHECK(uverbs_call(-1, &cmd) == -E2BIG);

	uverbs_init(&cmd, 0, 1, 1);
	for (int i = 0; i < UVERBS_MAX_ATTRS; i++)
		uverbs_object(&cmd, i, i);
	CHECK(uverbs_call(-1, &cmd) == -EBADF);
	uverbs_object(&cmd, 99, 1);
	CHECK(uverbs_call(-1, &cmd) == -E2BIG);
}

void unit_uverbs(void)
{
	remote_pointers();
	limits();
}

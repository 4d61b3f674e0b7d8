// SPDX-License-Identifier: GPL-2.0
/*
 * The structs of ABI version 11, as images and other programs know them. A
 * change here means another SEALIFT_RXE_ABI_VERSION.
 */
#include <stddef.h>
#include <stdio.h>

#include "sealift_rxe.h"

static int failed;

static void expect(const char *what, size_t got, size_t want)
{
	if (got == want)
		return;
	printf("abi: %s is %zu, not %zu\n", what, got, want);
	failed = 1;
}

#define SIZE(s, n) expect("size of " #s, sizeof(struct sealift_rxe_##s), n)
#define PLACE(s, f, n) \
	expect("place of " #s "." #f, offsetof(struct sealift_rxe_##s, f), n)

int main(void)
{
	expect("the version", SEALIFT_RXE_ABI_VERSION, 11);
	expect("keys of a hint", SEALIFT_RXE_ATTR_HINT_KEYS, SEALIFT_RXE_ATTR_HINT_IN + 1);
	expect("the most of them", SEALIFT_RXE_HINT_KEYS_MAX, 256);
	expect("the last method of the first ones", SEALIFT_RXE_METHOD_DUMP_NAKS, 20);
	expect("the last method", SEALIFT_RXE_METHOD_RESTORE_NAK, 0x1000);
	SIZE(query, 64);
	SIZE(hold, 16);
	SIZE(resume, 8);
	SIZE(buffer, 16);
	SIZE(object, 8);
	SIZE(context, 40);
	SIZE(list, 8);
	SIZE(device_object, 96);
	SIZE(fd, 8);
	SIZE(ring, 32);
	SIZE(cq, 72);
	SIZE(srq, 72);
	SIZE(mr, 56);
	SIZE(ah, 64);
	SIZE(qp_buffers, 48);
	SIZE(res, 40);
	SIZE(sge, 16);
	SIZE(recv_wqe, 544);
	SIZE(av, 48);
	SIZE(qp_attr, 112);
	SIZE(req, 24);
	SIZE(comp, 32);
	SIZE(resp, 608);
	SIZE(qp, 928);
	SIZE(hint, 8);
	SIZE(adopt, 8);
	SIZE(events, 8);
	SIZE(event, 16);
	SIZE(naks, 8);
	SIZE(nak, 16);
	PLACE(query, hold_flags, 48);
	PLACE(hold, flags, 8);
	PLACE(cq, user_handle, 32);
	PLACE(cq, notify, 48);
	PLACE(srq, user_handle, 32);
	PLACE(srq, limit, 52);
	PLACE(mr, lkey, 28);
	PLACE(mr, flags, 48);
	PLACE(device_object, num_mcast, 24);
	PLACE(device_object, budget_ms, 28);
	PLACE(device_object, rnr_timer, 37);
	PLACE(device_object, flags, 38);
	PLACE(device_object, start, 40);
	PLACE(device_object, access, 56);
	PLACE(device_object, remapped_page, 76);
	PLACE(ah, number, 12);
	PLACE(ah, av, 16);
	PLACE(qp, last_wqe_reached, 84);
	PLACE(qp, sq, 88);
	PLACE(qp, attr, 152);
	PLACE(qp, req, 264);
	PLACE(qp, comp, 288);
	PLACE(qp, resp, 320);
	PLACE(context, next_qpn, 20);
	PLACE(qp_attr, active_mtu, 62);
	PLACE(qp_attr, av, 64);
	PLACE(av, network_type, 40);
	PLACE(av, dmac, 42);
	PLACE(resp, va, 32);
	PLACE(resp, wqe, 64);
	PLACE(res, orig_val, 24);
	PLACE(res, flush_type, 36);
	PLACE(recv_wqe, sge, 32);
	PLACE(event, object, 4);
	PLACE(event, handle, 8);
	PLACE(nak, psn, 4);
	PLACE(nak, syndrome, 8);

	if (!failed)
		printf("abi: version %d is as it was\n",
		       SEALIFT_RXE_ABI_VERSION);
	return failed;
}

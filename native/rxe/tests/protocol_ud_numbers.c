// SPDX-License-Identifier: GPL-2.0
/*
 * What LIST and DUMP_QP say of a UD queue pair in a multicast group, and which
 * numbers an address handle may ask for.
 */
#include <err.h>
#include <errno.h>

#include "expect.h"
#include "image.h"
#include "listed.h"
#include "protocol.h"
#include "ud.h"

/* A group's members do not move: LIST tells of them before the hold. */
static void in_a_group(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	union ibv_gid gid = { .raw = { [10] = 0xff, 0xff, 239, 0, 0, 9 } };
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	if (ibv_attach_mcast(u.s.end.qp, &gid, 0))
		err(1, "ibv_attach_mcast");
	expect(1, listed_now(u.s.fd, SEALIFT_RXE_KIND_QP,
			     u.s.end.qp->qp_num).num_mcast, "LIST says that it is in a group");
	scripted_hold(&u.s);
	if (sl_dump_qp(u.s.fd, u.s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect(1, qp.num_mcast, "and so does DUMP_QP");
	scripted_resume(&u.s);
}

static void numbers(void)
{
	struct sealift_rxe_ah ah;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	scripted_hold(&u.s);
	if (sl_dump_ah(u.s.fd, u.ah->handle, &ah))
		errx(1, "DUMP_AH");
	expect(-EEXIST, sl_hint(u.s.fd, SEALIFT_RXE_HINT_AH, ah.number),
	       "a hint of a number that is taken");
	expect(-EINVAL, sl_hint(u.s.fd, SEALIFT_RXE_HINT_AH, 0),
	       "a hint of no number");
	expect(-EINVAL, sl_hint(u.s.fd, SEALIFT_RXE_HINT_AH, 1 << 15),
	       "a hint of a number too large");
	scripted_resume(&u.s);
}

const struct protocol_case protocol_ud_numbers_cases[] = {
	{ "datagrams: in a group", in_a_group },
	{ "datagrams: numbers of handles", numbers },
	{ 0 },
};

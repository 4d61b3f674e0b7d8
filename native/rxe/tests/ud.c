// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <string.h>

#include "datagram.h"
#include "expect.h"
#include "ud.h"

#define SLOT	4096	/* of the memory; receive requests have the first ones */
#define OUT	(8 * SLOT)
#define BYTES	700	/* of a datagram */

void ud_open(struct ud *u, enum ibv_qp_state state)
{
	union ibv_gid gid;

	memset(u, 0, sizeof(*u));
	scripted_open_end(&u->s, IBV_QPT_UD);
	scripted_peer_gid(&u->s, &gid);
	/* the number of the one that stays is not the first */
	u->ah = datagram_handle(&u->s.end, &gid);
	ibv_destroy_ah(datagram_handle(&u->s.end, &gid));
	if (ibv_destroy_ah(u->ah))
		err(1, "ibv_destroy_ah");
	u->ah = datagram_handle(&u->s.end, &gid);
	if (state != IBV_QPS_RESET)
		datagram_init(&u->s.end);
	if (state >= IBV_QPS_RTR)
		datagram_to(&u->s.end, IBV_QPS_RTR);
	if (state >= IBV_QPS_RTS)
		datagram_to(&u->s.end, IBV_QPS_RTS);
	if (state > IBV_QPS_RTS)
		datagram_to(&u->s.end, state);
}

void ud_post(struct ud *u, uint64_t wr_id, int flags, uint32_t immediate)
{
	unsigned char *at = u->s.mem + OUT + wr_id % 4 * SLOT;
	struct datagram d = {
		.ah = u->ah,
		.qpn = SCRIPTED_QPN,
		.data = at,
		.size = flags & IBV_SEND_INLINE ? 50 : BYTES,
		.wr_id = wr_id,
		.flags = flags,
		.immediate = immediate,
	};

	memset(at, 'a' + wr_id, d.size);
	datagram_send(&u->s.end, &d);
}

void ud_receive(struct ud *u, uint64_t wr_id)
{
	datagram_receive(&u->s.end, u->s.mem + wr_id * SLOT, SLOT, wr_id);
}

void ud_arrive(struct ud *u, char mark, uint32_t qkey)
{
	struct wire_packet p = {
		.opcode = WIRE_UD_SEND,
		.qpn = u->s.end.qp->qp_num,
		.qkey = qkey,
		.src_qpn = SCRIPTED_QPN,
		.size = BYTES,
	};

	memset(p.payload, mark, p.size);
	wire_send(&u->s.wire, &p);
}

void ud_completes(struct ud *u, int status, uint64_t wr_id,
		  const char *what)
{
	uint64_t got = ~0ULL;
	int is = scripted_completion(&u->s, 2000, &got);

	expect(1, is == status && got == wr_id, "%s (request %d, status %d)",
	       what, (int)got, is);
}

void ud_received(struct ud *u, uint64_t wr_id, char mark, const char *what)
{
	const unsigned char *at = u->s.mem + wr_id * SLOT + DATAGRAM_GRH;
	unsigned int i, wrong = 0;

	ud_completes(u, IBV_WC_SUCCESS, wr_id, what);
	for (i = 0; i < BYTES; i++)
		wrong += at[i] != (unsigned char)mark;
	expect(0, wrong, "%s: all of it", what);
}

void ud_goes_out(struct ud *u, uint64_t wr_id, uint32_t immediate)
{
	struct wire_packet p = { 0 };
	bool got = wire_recv(&u->s.wire, &p, 2000);

	expect(1, got && p.opcode == (immediate ? WIRE_UD_SEND_IMM : WIRE_UD_SEND) &&
	       p.qpn == SCRIPTED_QPN && p.qkey == DATAGRAM_QKEY &&
	       p.src_qpn == u->s.end.qp->qp_num && p.immediate == immediate &&
	       p.payload[0] == 'a' + wr_id && p.payload[p.size - 1] == 'a' + wr_id,
	       "datagram %d is sent (opcode %#x of %u bytes)", (int)wr_id,
	       p.opcode, p.size);
}

void ud_nothing_is_sent(struct ud *u, const char *what)
{
	struct wire_packet p;

	expect(0, wire_recv(&u->s.wire, &p, 300), "%s", what);
}

void ud_lives(struct ud *u)
{
	ud_receive(u, 3);
	ud_post(u, 9, 0, 0);
	ud_goes_out(u, 9, 0);
	ud_completes(u, IBV_WC_SUCCESS, 9, "a datagram is sent afterwards");
	ud_arrive(u, 'z', DATAGRAM_QKEY);
	ud_received(u, 3, 'z', "a datagram is received afterwards");
}

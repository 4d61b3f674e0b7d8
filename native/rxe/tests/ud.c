// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <string.h>

#include "datagram.h"
#include "ud.h"

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

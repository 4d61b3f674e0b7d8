// SPDX-License-Identifier: GPL-2.0
#include "datagram_pair.h"

#include <err.h>
#include <stdlib.h>

#include "pair.h"

struct ibv_ah *datagram_pair_meet(struct endpoint *e, int sock, uint32_t *qpn)
{
	struct {
		union ibv_gid gid;
		uint32_t qpn;
	} own = { 0 }, peer;

	own.gid = e->gid;
	own.qpn = e->qp->qp_num;
	pair_exchange(sock, &own, &peer, sizeof(own));
	*qpn = peer.qpn;
	return datagram_handle(e, &peer.gid);
}

int datagram_pair_main(int argc, char **argv,
		       void (*run)(int sock, char **end, unsigned int moves,
				   bool first))
{
	unsigned int moves = argc > 5 ? atoi(argv[5]) : 10;
	pid_t pid;
	int sock;

	if (argc < 5)
		errx(2, "usage: %s NETNS DEVICE PEER_NETNS PEER_DEVICE [MOVES [SEED]]",
		     argv[0]);
	srand(argc > 6 ? atoi(argv[6]) : 1);
	pid = pair_fork(&sock);
	if (!pid) {
		run(sock, argv + 3, moves, false);
		return 0;
	}
	run(sock, argv + 1, moves, true);
	pair_join(pid);
	return 0;
}

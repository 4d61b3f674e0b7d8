/* SPDX-License-Identifier: GPL-2.0 */
/* Two ends that send each other datagrams, in processes of their own. */
#ifndef DATAGRAM_PAIR_H
#define DATAGRAM_PAIR_H

#include <stdbool.h>

#include "datagram.h"

/* All exit the process on failure. */

/*
 * Tell the other end where @e is. Return: a handle to it
 * @qpn: its queue pair
 */
struct ibv_ah *datagram_pair_meet(struct endpoint *e, int sock, uint32_t *qpn);

/*
 * The main of: NETNS DEVICE PEER_NETNS PEER_DEVICE [MOVES [SEED]]
 * @run: plays an end. @end: its NETNS and DEVICE, @first: the one that is named
 * first. It may use rand(), of which both ends have the same series.
 */
int datagram_pair_main(int argc, char **argv,
		       void (*run)(int sock, char **end, unsigned int moves,
				   bool first));

#endif /* DATAGRAM_PAIR_H */

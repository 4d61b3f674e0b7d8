/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams beside the streams: one UD queue pair with an address handle to the peer's. Some may be lost. The
 * ledger counts those that come twice or torn, and breaks off when none comes any more.
 */
#ifndef LEDGER_DATAGRAMS_H
#define LEDGER_DATAGRAMS_H

#include "endpoint.h"
#include "verify.h"

struct datagrams {
	struct ibv_cq *cq; /* polled */
	struct ibv_qp *qp;
	struct ibv_ah *ah;
	struct ibv_mr *mr;
	uint8_t *memory;
	uint32_t peer_qpn;
	uint64_t posted, completed, requests;
	uint32_t newest; /* number of the newest one that has come */
	int64_t next, last_received;
};

/* All return 0 or -errno and print what failed. */
int datagrams_open(struct datagrams *d, struct endpoint *e);
/* Say this side's queue pair on @c. */
int datagrams_offer(const struct datagrams *d, struct control *c);
/* Take the peer's from @c; its address is @gid. */
int datagrams_connect(struct datagrams *d, struct endpoint *e, struct control *c,
		      const union ibv_gid *gid);
/* Take what has come, and send if one is due. @now: ns on the wall clock, which is the same after a move. */
int datagrams_step(struct datagrams *d, int64_t now, bool sending, struct tally *tally);
void datagrams_close(struct datagrams *d);

#endif

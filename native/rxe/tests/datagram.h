/* SPDX-License-Identifier: GPL-2.0 */
/* A UD queue pair: of a scripted end, or any other. */
#ifndef DATAGRAM_H
#define DATAGRAM_H

#include "endpoint.h"

#define DATAGRAM_QKEY	0x11111111
#define DATAGRAM_PSN	0xfffffe	/* its first; PSNs have 24 bits */
#define DATAGRAM_GRH	40		/* bytes before what is received */

/* All exit the process on failure. */

/* To INIT, or from there to RTR and RTS. */
void datagram_init(struct endpoint *e);
void datagram_to(struct endpoint *e, enum ibv_qp_state state);
/* From RESET to RTS. */
void datagram_ready(struct endpoint *e);
struct ibv_ah *datagram_handle(struct endpoint *e, const union ibv_gid *gid);

struct datagram {
	struct ibv_ah *ah;
	uint32_t qpn;		/* of the receiver */
	const void *data;	/* in the endpoint's region, or inline */
	uint32_t size;
	uint64_t wr_id;
	int flags;		/* beside IBV_SEND_SIGNALED */
	uint32_t immediate;	/* 0: none */
};

void datagram_send(struct endpoint *e, const struct datagram *d);
/* One request of @size bytes, with room for the GRH among them. */
void datagram_receive(struct endpoint *e, void *at, uint32_t size,
		      uint64_t wr_id);

#endif /* DATAGRAM_H */

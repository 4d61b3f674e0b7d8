/* SPDX-License-Identifier: GPL-2.0 */
/* A UD queue pair for the cases of the test `protocol`. */
#ifndef UD_H
#define UD_H

#include "scripted.h"

/* A UD queue pair and its peer made of a raw socket. */
struct ud {
	struct scripted s;
	struct ibv_ah *ah;	/* to the peer */
};

/* In @state. Its handle's number is not the first that the driver gives. */
void ud_open(struct ud *u, enum ibv_qp_state state);
/* Send a datagram to the peer. @immediate: 0: none */
void ud_post(struct ud *u, uint64_t wr_id, int flags, uint32_t immediate);
/* Post a receive request; @wr_id: 0..7 */
void ud_receive(struct ud *u, uint64_t wr_id);
/* The peer sends a datagram with @mark in it. */
void ud_arrive(struct ud *u, char mark, uint32_t qkey);

/* Each of these expects something, @what in words. */
/* The next completion is of @wr_id. */
void ud_completes(struct ud *u, int status, uint64_t wr_id,
		  const char *what);
/* It is that of a datagram with @mark in it. */
void ud_received(struct ud *u, uint64_t wr_id, char mark, const char *what);
/* The next packet is the datagram of request @wr_id. */
void ud_goes_out(struct ud *u, uint64_t wr_id, uint32_t immediate);
void ud_nothing_is_sent(struct ud *u, const char *what);
/* Both ways work. */
void ud_lives(struct ud *u);

#endif /* UD_H */

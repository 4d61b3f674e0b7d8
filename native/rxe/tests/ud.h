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

#endif /* UD_H */

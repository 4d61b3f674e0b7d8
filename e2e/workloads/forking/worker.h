/* SPDX-License-Identifier: Apache-2.0 */
/* One worker of a server: it serves a client by a context that is open. */
#ifndef FORKING_WORKER_H
#define FORKING_WORKER_H

#include <stdint.h>

#include "../ledger/endpoint.h"

struct worker {
	unsigned int number;
	struct endpoint endpoint; /* its device is open; perhaps another process has opened it */
	struct control control;
	struct ibv_qp *qp;
	uint64_t rounds, wrong;
};

/* Serves one client until that says that it ends, and closes what it has, the device too. Returns the exit status. */
int work(struct worker *w);

#endif

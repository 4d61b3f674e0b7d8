/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client and workers exchange, and how both check it. In each round the client sends a request to each worker, which
 * puts an answer into its memory; the client reads it from there. A worker posts no send request: with SoftRoCE a process
 * cannot ring the doorbell of a context that another has opened (the kernel's ib_safe_file_access()).
 */
#ifndef FORKING_EXCHANGE_H
#define FORKING_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "../ledger/endpoint.h"

#define FORKING_PORT	18700	/* of the first worker's control connection; the others' follow */
#define MAX_WORKERS	16
#define REQUESTS	16	/* receive requests of a worker */
#define WORDS		512
#define STALL_S		180

/* @round is the lowest word: a READ that finds it also finds all that was written before it. */
struct message {
	uint64_t round;
	uint64_t words[WORDS - 1];
};

enum content { REQUEST = 1, ANSWER = 2 };

/* Fills @m but for its round. */
void message_fill(struct message *m, enum content kind, unsigned int worker, uint64_t round);
/* Prints what is wrong. */
bool message_is_right(const struct message *m, enum content kind, unsigned int worker,
		      uint64_t round);

/*
 * Waits up to @ms for a completion of @cq, or for a line of @control if it is not NULL. Returns 1 with a completion, 0 with
 * none, else -errno; prints the error of a completion.
 */
int wait_completion(struct endpoint *e, struct ibv_cq *cq, const struct control *control, int ms,
		    struct ibv_wc *wc);

/* Prints @what with the text of @err, a negative errno, and returns it. */
int failed(const char *what, int err);

#endif

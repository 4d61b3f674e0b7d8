/* SPDX-License-Identifier: Apache-2.0 */
/* Completion queues and the receive requests of a queue pair, or of all that share a queue. */
#ifndef RANDOM_QUEUE_H
#define RANDOM_QUEUE_H

#include <infiniband/verbs.h>

#include "memory.h"
#include "plan.h"

#define GRH 40
#define RECEIVED (1ull << 63) /* in the wr_id of receive requests */

struct queue {
	const struct plan_cq *plan;
	struct ibv_cq *cq;
	struct ibv_cq_ex *extended; /* the same, or NULL */
	struct ibv_comp_channel *channel; /* of a quiet one: its own */
	uint32_t unacknowledged;
	bool due; /* an event has come since it was looked into */
	/* quiet: as it was left */
	bool had_event;
};

void queue_make(struct queue *q, const struct plan_cq *plan, struct ibv_context *context,
		struct ibv_comp_channel *shared);
/* Waits for no event. Marks the queues whose events have come; @queues: all that may have this channel. */
void queue_take_events(struct ibv_comp_channel *channel, struct queue *queues, unsigned int count);
/* Its completions are to be looked for now; it is armed again first, if it has to be. */
bool queue_is_due(struct queue *q);
/* As ibv_poll_cq(). */
int queue_poll(struct queue *q, int count, struct ibv_wc *wc);
void queue_destroy(struct queue *q);
/* Something to read. */
bool descriptor_ready(int fd, int within_ms);

struct inbox {
	struct memory memory;
	struct ibv_mr *mr;
	struct ibv_srq *srq; /* NULL: of one queue pair */
	struct ibv_qp *qp;
	uint32_t count, sges;
	uint64_t posted, taken; /* of a queue pair alone: they come back in order */
	bool out[MAX_RECEIVES]; /* posted, and not back */
};

void inbox_make(struct inbox *b, enum memory_kind kind, uint32_t count, uint32_t sges, struct ibv_pd *pd,
		const char *directory);
void inbox_post(struct inbox *b, uint32_t place);
void inbox_post_all(struct inbox *b);
/* The request of @wr_id has come back. Its memory, or NULL: that is wrong, and has been said. */
const uint8_t *inbox_take(struct inbox *b, uint64_t wr_id);
void inbox_free(struct inbox *b);

#endif

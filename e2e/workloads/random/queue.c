// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include <fcntl.h>
#include <poll.h>

#include "extended.h"
#include "failure.h"

#define PLACE (SLOT + 64u)

bool descriptor_ready(int fd, int within_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, within_ms) == 1;
}

void queue_make(struct queue *q, const struct plan_cq *plan, struct ibv_context *context,
		struct ibv_comp_channel *shared)
{
	struct ibv_cq *gap = plan->gap ? ibv_create_cq(context, 5, NULL, NULL, 0) : NULL;

	*q = (struct queue){ .plan = plan };
	MUST(!plan->gap || gap);
	if (plan->events && plan->quiet)
		MUST((q->channel = ibv_create_comp_channel(context)));
	else if (plan->events)
		q->channel = shared;
	if (plan->extended) {
		MUST((q->extended = extended_cq(context, plan->entries, q, q->channel)));
		q->cq = ibv_cq_ex_to_cq(q->extended);
	} else {
		MUST((q->cq = ibv_create_cq(context, (int)plan->entries, q, q->channel, 0)));
	}
	MUST(!gap || !ibv_destroy_cq(gap));
	if (plan->resized)
		MUST(!ibv_resize_cq(q->cq, (int)plan->resized));
	if (plan->armed != ARMED_NOT)
		MUST(!ibv_req_notify_cq(q->cq, plan->armed == ARMED_SOLICITED));
}

void queue_take_events(struct ibv_comp_channel *channel, struct queue *queues, unsigned int count)
{
	struct ibv_cq *of;
	void *context;

	while (descriptor_ready(channel->fd, 0)) {
		struct queue *q;

		MUST(!ibv_get_cq_event(channel, &of, &context));
		q = context;
		if (q < queues || q >= queues + count || q->cq != of || q->channel != channel) {
			wrong("an event of a completion queue that is none");
			return;
		}
		q->due = true;
		if (++q->unacknowledged >= q->plan->acknowledged_by) {
			ibv_ack_cq_events(q->cq, q->unacknowledged);
			q->unacknowledged = 0;
		}
	}
}

bool queue_is_due(struct queue *q)
{
	bool due = q->due;

	if (q->plan->quiet)
		return false;
	if (due)
		MUST(!ibv_req_notify_cq(q->cq, q->plan->armed == ARMED_SOLICITED));
	q->due = false;
	/* Armed for everything, nothing may come without an event. */
	return q->plan->armed == ARMED_ALL ? due : true;
}

int queue_poll(struct queue *q, int count, struct ibv_wc *wc)
{
	return q->extended ? extended_poll(q->extended, count, wc) : ibv_poll_cq(q->cq, count, wc);
}

void queue_destroy(struct queue *q)
{
	ibv_ack_cq_events(q->cq, q->unacknowledged);
	MUST(!ibv_destroy_cq(q->cq));
	if (q->plan->quiet && q->channel)
		MUST(!ibv_destroy_comp_channel(q->channel));
}

void inbox_make(struct inbox *b, enum memory_kind kind, uint32_t count, uint32_t sges, struct ibv_pd *pd,
		const char *directory)
{
	*b = (struct inbox){ .count = count, .sges = sges };
	memory_make(&b->memory, kind, (size_t)count * PLACE, directory, NULL, NULL);
	b->mr = ibv_reg_mr(pd, b->memory.at, (size_t)count * PLACE, IBV_ACCESS_LOCAL_WRITE);
	MUST(b->mr);
}

void inbox_post(struct inbox *b, uint32_t place)
{
	uint32_t parts = 1 + place % b->sges, step = 512, at = 0;
	struct ibv_sge sge[8];
	struct ibv_recv_wr *bad, wr = { .wr_id = RECEIVED | place, .sg_list = sge, .num_sge = (int)parts };

	for (uint32_t i = 0; i < parts; i++) {
		uint32_t length = i + 1 < parts ? step : PLACE - at;

		sge[i] = (struct ibv_sge){ (uintptr_t)b->memory.at + place * PLACE + at, length, b->mr->lkey };
		at += length;
	}
	MUST(!(b->srq ? ibv_post_srq_recv(b->srq, &wr, &bad) : ibv_post_recv(b->qp, &wr, &bad)));
	b->out[place] = true;
	b->posted++;
}

void inbox_post_all(struct inbox *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (!b->out[i])
			inbox_post(b, i);
}

const uint8_t *inbox_take(struct inbox *b, uint64_t wr_id)
{
	uint64_t place = wr_id & ~RECEIVED;

	if (place >= b->count || !b->out[place]) {
		wrong("a receive request came back that is not posted: %llu", (unsigned long long)place);
		return NULL;
	}
	EXPECT(b->srq || place == b->taken % b->count, "receive request %llu came back before %llu",
	       (unsigned long long)place, (unsigned long long)(b->taken % b->count));
	b->taken++;
	b->out[place] = false;
	return b->memory.at + place * PLACE;
}

void inbox_free(struct inbox *b)
{
	if (b->mr)
		MUST(!ibv_dereg_mr(b->mr));
	b->mr = NULL;
	memory_free(&b->memory);
}

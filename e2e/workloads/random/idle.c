// SPDX-License-Identifier: Apache-2.0
/* Queue pairs in each state that send nothing: what they have posted comes back in the end. */
#include "dice.h"
#include "failure.h"
#include "side.h"

#define SOON_MS	200
#define EVENT_MS 60000 /* what has to come comes within that, on a busy emulated node too */
#define FLUSH_MS 60000

static void to(struct ibv_qp *qp, struct ibv_qp_attr *attr, enum ibv_qp_state state, int mask)
{
	attr->qp_state = state;
	MUST(!ibv_modify_qp(qp, attr, IBV_QP_STATE | mask));
}

/* Any value that modify_qp takes, if it gives no peer up early: a move keeps all of them. */
static void be_odd(struct ibv_qp_attr *attr, uint64_t dice)
{
	attr->path_mtu = (enum ibv_mtu)(IBV_MTU_256 + dice % 5);
	attr->retry_cnt = (uint8_t)(7 + (dice >> 8) % 249);
	attr->rnr_retry = (uint8_t)(7 + (dice >> 16) % 249);
	attr->min_rnr_timer = (uint8_t)(dice >> 24);
	attr->max_dest_rd_atomic = (uint8_t)(dice >> 32);
	attr->dest_qp_num |= (uint32_t)(dice >> 40) << 24;
}

static void connect(struct side *s, const struct idle *q, const struct remote *peer, bool to_rts)
{
	bool connected = q->plan->transport == TRANSPORT_RC;
	uint64_t number = (uint64_t)(q - s->idle);
	struct ibv_qp_attr attr = {
		.path_mtu = IBV_MTU_512, .dest_qp_num = peer->qpn, .rq_psn = 5, .max_dest_rd_atomic = 2,
		.min_rnr_timer = 3, .timeout = 19, .retry_cnt = 7, .rnr_retry = 7, .sq_psn = 9,
		.max_rd_atomic = 2,
		.ah_attr = { .grh = { .dgid = peer->gid[PATH_FABRIC], .hop_limit = 9,
				      .sgid_index = (uint8_t)s->gid_index[PATH_FABRIC] },
			     .is_global = 1, .port_num = PORT },
	};

	if (number % 2)
		be_odd(&attr, dice_mix(number, peer->qpn, q->plan->posted));
	to(q->qp, &attr, IBV_QPS_RTR,
	   connected ? IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0);
	if (to_rts)
		to(q->qp, &attr, IBV_QPS_RTS,
		   IBV_QP_SQ_PSN | (connected ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
							IBV_QP_MAX_QP_RD_ATOMIC : 0));
}

static void post(const struct idle *q, unsigned int number)
{
	for (uint32_t n = 0; n < q->plan->posted; n++) {
		struct ibv_recv_wr *bad, wr = { .wr_id = (uint64_t)number << 32 | n };

		MUST(!ibv_post_recv(q->qp, &wr, &bad));
	}
}

static struct ibv_context *context_of(const struct side *s, const struct idle *q)
{
	return s->context[s->plan->pd[q->plan->pd].context];
}

/* The first of the context's queue pairs with an event that nobody has read; NULL: there is none. */
static struct idle *next_event(struct side *s, const struct ibv_context *context)
{
	for (unsigned int i = 0; i < s->plan->idles; i++)
		if (s->idle[i].has_event && context_of(s, &s->idle[i]) == context)
			return &s->idle[i];
	return NULL;
}

/* All events of the context, of each queue pair in the order in which they were drained. */
static void read_events(struct side *s, struct ibv_context *context)
{
	struct ibv_async_event event;

	while (descriptor_ready(context->async_fd, 0)) {
		struct idle *q = next_event(s, context);

		MUST(!ibv_get_async_event(context, &event));
		if (event.event_type == IBV_EVENT_SQ_DRAINED) {
			EXPECT(q && event.element.qp == q->qp, "idle queue pair %#x: an event that is not the next",
			       event.element.qp->qp_num);
			if (q)
				q->has_event = false;
		} else {
			/* Addresses may be new; a node may lose its link. */
			EXPECT(event.event_type == IBV_EVENT_PORT_ACTIVE || event.event_type == IBV_EVENT_PORT_ERR ||
				       event.event_type == IBV_EVENT_GID_CHANGE,
			       "idle queue pairs: event %d", event.event_type);
		}
		ibv_ack_async_event(&event);
	}
}

/* Its send queue is drained at once: that is an event, which may stay unread, as may those before it. */
static void drain(struct side *s, struct idle *q, struct ibv_context *context)
{
	struct ibv_qp_attr attr = { .en_sqd_async_notify = 255 };
	bool others = next_event(s, context);

	to(q->qp, &attr, IBV_QPS_SQD, IBV_QP_EN_SQD_ASYNC_NOTIFY);
	if (others)
		descriptor_ready(-1, SOON_MS);
	q->has_event = descriptor_ready(context->async_fd, EVENT_MS);
	if (q->plan->reads_event)
		read_events(s, context);
}

static void make(struct side *s, unsigned int number, const struct remote *peer)
{
	struct idle *q = &s->idle[number];
	const struct plan_idle *plan = q->plan = &s->plan->idle[number];
	struct ibv_context *context = context_of(s, q);
	struct ibv_qp_init_attr init = {
		.qp_context = q,
		.send_cq = s->queue[plan->send_cq].cq,
		.recv_cq = s->queue[plan->receive_cq].cq,
		.srq = plan->srq == NONE ? NULL : s->srq[plan->srq],
		.cap = { plan->sends, plan->receives, plan->sges, plan->srq == NONE ? plan->sges : 0,
			 plan->inline_bytes },
		.qp_type = plan->transport == TRANSPORT_RC ? IBV_QPT_RC : IBV_QPT_UD,
		.sq_sig_all = plan->signals_all,
	};
	struct ibv_qp_attr attr = { .port_num = PORT, .qkey = QKEY,
				    .qp_access_flags = IBV_ACCESS_REMOTE_READ };
	struct ibv_qp *gap = plan->gap ? ibv_create_qp(s->pd[plan->pd], &init) : NULL;

	q->qp = ibv_create_qp(s->pd[plan->pd], &init);
	MUST(q->qp && (!plan->gap || gap));
	MUST(!gap || !ibv_destroy_qp(gap));
	if (plan->state == IDLE_RESET)
		return;
	to(q->qp, &attr, IBV_QPS_INIT,
	   IBV_QP_PKEY_INDEX | IBV_QP_PORT |
		   (plan->transport == TRANSPORT_RC ? IBV_QP_ACCESS_FLAGS : IBV_QP_QKEY));
	post(q, number);
	if (plan->state >= IDLE_RTR && plan->state <= IDLE_SQD)
		connect(s, q, peer, plan->state >= IDLE_RTS);
	if (plan->state == IDLE_SQD)
		drain(s, q, context);
	if (plan->state == IDLE_ERR)
		to(q->qp, &attr, IBV_QPS_ERR, 0);
}

/* Requests of a queue pair in error come back into it at once. */
static bool gets_flushed(const struct side *s, int cq)
{
	for (unsigned int i = 0; i < s->plan->idles; i++)
		if (s->plan->idle[i].receive_cq == cq && s->plan->idle[i].state == IDLE_ERR &&
		    s->plan->idle[i].posted)
			return true;
	return false;
}

void idles_make(struct side *s, const struct remote *peer)
{
	for (unsigned int i = 0; i < s->plan->idles; i++)
		make(s, i, peer);
	for (unsigned int i = 0; i < s->plan->cqs; i++) {
		struct queue *q = &s->queue[i];
		bool flushed = gets_flushed(s, (int)i) && q->plan->armed == ARMED_ALL;

		if (!q->plan->quiet || !q->channel)
			continue;
		q->had_event = descriptor_ready(q->channel->fd, flushed ? EVENT_MS : SOON_MS);
		EXPECT(q->had_event == flushed, "CQ %u: %s", i, flushed ? "no event of what was flushed" : "an event");
	}
}

static void check_event(struct side *s, struct idle *q, unsigned int number)
{
	read_events(s, context_of(s, q));
	EXPECT(!q->has_event, "idle queue pair %u: the event that it is drained is lost", number);
	q->has_event = false;
}

static void check_channel(struct queue *q, unsigned int number)
{
	struct ibv_cq *of;
	void *context;

	EXPECT(descriptor_ready(q->channel->fd, 0) == q->had_event, "CQ %u: an event %s", number,
	       q->had_event ? "is lost" : "that nobody has raised");
	while (descriptor_ready(q->channel->fd, 0)) {
		MUST(!ibv_get_cq_event(q->channel, &of, &context));
		EXPECT(of == q->cq && context == q, "CQ %u: an event of another one", number);
		ibv_ack_cq_events(of, 1);
	}
}

/* Each request once and in order, flushed. */
static void check_flushed(struct side *s, uint32_t came[MAX_IDLES])
{
	struct ibv_wc wc;
	int n;

	for (unsigned int i = 0; i < s->plan->cqs; i++) {
		if (!s->queue[i].plan->quiet)
			continue;
		while ((n = queue_poll(&s->queue[i], 1, &wc)) > 0) {
			unsigned int of = (unsigned int)(wc.wr_id >> 32);

			if (of >= s->plan->idles || wc.qp_num != s->idle[of].qp->qp_num ||
			    wc.status != IBV_WC_WR_FLUSH_ERR)
				wrong("CQ %u: a completion of %llx", i, (unsigned long long)wc.wr_id);
			else
				EXPECT((uint32_t)wc.wr_id == came[of]++,
				       "idle queue pair %u: request %u out of order", of, (uint32_t)wc.wr_id);
		}
		MUST(n == 0);
	}
}

static bool all_came(const struct side *s, const uint32_t came[MAX_IDLES])
{
	for (unsigned int i = 0; i < s->plan->idles; i++)
		if (came[i] < s->idle[i].plan->posted)
			return false;
	return true;
}

void idles_check(struct side *s)
{
	uint32_t came[MAX_IDLES] = { 0 };
	struct ibv_qp_attr attr = { 0 };

	for (unsigned int i = 0; i < s->plan->cqs; i++)
		if (s->queue[i].plan->quiet && s->queue[i].channel)
			check_channel(&s->queue[i], i);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		check_event(s, &s->idle[i], i);
	check_flushed(s, came);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		EXPECT(s->idle[i].plan->state == IDLE_ERR || !came[i],
		       "idle queue pair %u: flushed before it was in error", i);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		if (s->idle[i].plan->state != IDLE_RESET && s->idle[i].plan->state != IDLE_ERR)
			to(s->idle[i].qp, &attr, IBV_QPS_ERR, 0);
	for (uint64_t until = now_ms() + FLUSH_MS; !all_came(s, came) && now_ms() < until; descriptor_ready(-1, 20))
		check_flushed(s, came);
	/* Nothing comes twice. */
	descriptor_ready(-1, SOON_MS);
	check_flushed(s, came);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		EXPECT(came[i] == s->idle[i].plan->posted, "idle queue pair %u: %u of %u requests came back", i,
		       came[i], s->idle[i].plan->posted);
	/* Events of what was flushed now. */
	for (unsigned int i = 0; i < s->plan->cqs; i++) {
		struct queue *q = &s->queue[i];

		q->had_event = q->channel && q->plan->quiet && descriptor_ready(q->channel->fd, 0);
		if (q->had_event)
			check_channel(q, i);
	}
}

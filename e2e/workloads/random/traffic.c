// SPDX-License-Identifier: Apache-2.0
/* Posts the plan's operations, takes completions, and looks at what they have brought. */
#include <arpa/inet.h>
#include <string.h>

#include "extended.h"
#include "failure.h"
#include "side.h"

#define TOLD_PLACES (MAX_RECEIVES + 2)
#define INJECTED_AT 4 /* the operation, or the first one after it that can */

static uint8_t *out_slot(const struct link *l, uint64_t number)
{
	return l->arena->out[number % MAX_WINDOW];
}

static uint8_t *in_slot(const struct link *l, uint64_t number)
{
	return l->arena->in[number % MAX_WINDOW];
}

/* @at in up to so many parts. Return: their number. */
static int split(const struct link *l, const struct op *op, uint64_t at, uint32_t key, struct ibv_sge *sge)
{
	uint32_t parts = 1 + (uint32_t)(op->number % l->plan->sges), step, done = 0;

	if (parts > op->length || l->plan->extended)
		parts = 1;
	step = op->length / parts;
	for (uint32_t i = 0; i < parts; i++) {
		uint32_t length = i + 1 < parts ? step : op->length - done;

		sge[i] = (struct ibv_sge){ at + done, length, key };
		done += length;
	}
	return (int)parts;
}

/* Where the request takes its data from, or puts it. */
static int local_memory(struct side *s, struct link *l, const struct op *op, struct ibv_sge *sge)
{
	if (op->kind == OP_SHOW) {
		const struct region *r = &s->region[op->region];

		return split(l, op, (uintptr_t)r->mr->addr, r->mr->lkey, sge);
	}
	if (op->kind >= OP_READ) {
		memset(in_slot(l, op->number), 0xee, op->length);
		if (op->kind != OP_READ) {
			*sge = (struct ibv_sge){ (uintptr_t)in_slot(l, op->number), 8, l->arena_mr->lkey };
			return 1;
		}
		return split(l, op, (uintptr_t)in_slot(l, op->number), l->arena_mr->lkey, sge);
	}
	for (uint32_t i = 0; i < op->length; i++)
		out_slot(l, op->number)[i] = op_byte(&l->out, op, i);
	return split(l, op, (uintptr_t)out_slot(l, op->number), l->arena_mr->lkey, sge);
}

static uint64_t in_arena(const struct link *l, size_t offset)
{
	return l->remote.arena + offset;
}

static void set_remote(struct link *l, const struct op *op, struct ibv_send_wr *wr)
{
	wr->wr.rdma.rkey = l->remote.arena_key;
	switch (op->kind) {
	case OP_WRITE:
		wr->wr.rdma.remote_addr =
			in_arena(l, offsetof(struct arena, writes) + op->number % WRITES * SLOT);
		break;
	case OP_WRITE_IMM:
		wr->wr.rdma.remote_addr = in_arena(l, offsetof(struct arena, told) + l->told % TOLD_PLACES * SLOT);
		break;
	case OP_READ:
		wr->wr.rdma.remote_addr = l->remote.source + op->offset;
		wr->wr.rdma.rkey = l->remote.source_key;
		break;
	case OP_ADD:
		wr->wr.atomic.remote_addr = in_arena(l, offsetof(struct arena, sum));
		wr->wr.atomic.rkey = l->remote.arena_key;
		wr->wr.atomic.compare_add = op->step;
		break;
	case OP_SWAP:
		wr->wr.atomic.remote_addr = in_arena(l, offsetof(struct arena, swaps));
		wr->wr.atomic.rkey = l->remote.arena_key;
		wr->wr.atomic.compare_add = l->swaps++;
		wr->wr.atomic.swap = l->swaps;
		break;
	default:
		break;
	}
}

/* A byte of a message, or a whole one, is not what the plan says. Return: the operation is not to be posted. */
static bool inject(struct side *s, struct link *l, const struct op *op)
{
	if (l->number || op->number < INJECTED_AT || op->kind > OP_SEND_IMM)
		return false;
	if (s->inject == INJECT_CORRUPT)
		out_slot(l, op->number)[0] ^= 1;
	if (s->inject != INJECT_CORRUPT && s->inject != INJECT_LOSE)
		return false;
	if (s->inject == INJECT_LOSE)
		l->out.posted++;
	s->inject = INJECT_NOTHING;
	return l->out.posted > op->number;
}

static const enum ibv_wr_opcode opcodes[OP_KINDS] = {
	IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_SEND, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_RDMA_WRITE,
	IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
};

static bool has_immediate(enum op_kind kind)
{
	return kind == OP_SEND_IMM || kind == OP_WRITE_IMM;
}

static void post(struct side *s, struct link *l)
{
	struct op op = flow_op(&l->out, l->out.posted);
	struct ibv_sge sge[8];
	struct ibv_send_wr *bad, wr = {
		.wr_id = op.number, .sg_list = sge, .opcode = opcodes[op.kind],
		.send_flags = (op.signalled ? IBV_SEND_SIGNALED : 0) | (op.inlined ? IBV_SEND_INLINE : 0) |
			      (op.fenced ? IBV_SEND_FENCE : 0) | (op.solicited ? IBV_SEND_SOLICITED : 0),
	};

	wr.num_sge = local_memory(s, l, &op, sge);
	if (inject(s, l, &op))
		return;
	if (l->pair->transport == TRANSPORT_RC) {
		set_remote(l, &op, &wr);
	} else {
		wr.wr.ud.ah = l->ah;
		wr.wr.ud.remote_qpn = l->remote.qpn;
		wr.wr.ud.remote_qkey = QKEY + l->number;
	}
	if (has_immediate(op.kind)) {
		wr.imm_data = htonl((uint32_t)(op.number & ~STOP) | (s->stopping ? STOP : 0));
		l->stop_sent |= s->stopping;
	}
	MUST(!(l->plan->extended ? extended_post(l->qp, &wr) : ibv_post_send(l->qp, &wr, &bad)));
	l->told += op.kind == OP_WRITE_IMM;
	l->out.posted++;
}

/* Each fourth request is signalled: an end is where everything completes. The first pair says that it is the end. */
static bool may_end(const struct link *l)
{
	return l->out.posted % 4 == 0 && (l->number || l->stop_sent);
}

static void post_due(struct side *s, struct link *l)
{
	uint32_t burst = l->plan->burst;

	if (!s->stopping && now_ms() < l->next_ms)
		return;
	while (burst && l->out.posted - l->out.completed < l->plan->window) {
		if (s->stopping && may_end(l))
			return;
		post(s, l);
		burst--;
	}
	if (l->plan->pause_ms)
		l->next_ms = now_ms() + l->plan->pause_ms;
}

static void check_result(struct link *l, const struct op *op)
{
	const uint8_t *in = in_slot(l, op->number);
	uint32_t bad = 0;
	uint64_t old;

	memcpy(&old, in, sizeof(old));
	if (op->kind == OP_READ) {
		for (uint32_t i = 0; i < op->length; i++)
			bad += in[i] != source_byte(l->in.plan, l->in.from, l->number, op->offset + i);
		EXPECT(!bad, "pair %u, READ %llu: %u bytes are wrong", l->number, (unsigned long long)op->number,
		       bad);
	} else if (op->kind == OP_ADD) {
		EXPECT(old == l->out.sum, "pair %u, ADD %llu found %llu, not %llu", l->number,
		       (unsigned long long)op->number, (unsigned long long)old,
		       (unsigned long long)l->out.sum);
		l->out.sum += op->step;
	} else if (op->kind == OP_SWAP) {
		EXPECT(old == l->out.swaps, "pair %u, SWAP %llu found %llu, not %llu", l->number,
		       (unsigned long long)op->number, (unsigned long long)old,
		       (unsigned long long)l->out.swaps);
		l->out.swaps++;
	}
}

static void sent(struct link *l, const struct ibv_wc *wc)
{
	uint64_t from = l->out.completed;

	if (!flow_completed(&l->out, wc->wr_id)) {
		wrong("pair %u: request %llu completed when %llu had, of %llu", l->number,
		      (unsigned long long)wc->wr_id, (unsigned long long)from,
		      (unsigned long long)l->out.posted);
		return;
	}
	for (; from <= wc->wr_id; from++) {
		struct op op = flow_op(&l->out, from);

		check_result(l, &op);
	}
}

static void check_content(const struct link *l, const struct op *op, const uint8_t *at, const char *what)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < op->length; i++)
		bad += at[i] != op_byte(&l->in, op, i);
	EXPECT(!bad, "pair %u, %s %llu: %u of %u bytes are wrong", l->number, what,
	       (unsigned long long)op->number, bad, op->length);
}

static void check_immediate(struct side *s, const struct link *l, const struct op *op, const struct ibv_wc *wc)
{
	uint32_t immediate = ntohl(wc->imm_data);
	bool has = wc->wc_flags & IBV_WC_WITH_IMM;

	if (!has_immediate(op->kind)) {
		EXPECT(!has, "pair %u, message %llu: an immediate", l->number, (unsigned long long)op->number);
		return;
	}
	EXPECT(has && (immediate & ~STOP) == (uint32_t)(op->number & ~STOP),
	       "pair %u, message %llu: immediate %u", l->number, (unsigned long long)op->number,
	       immediate & ~STOP);
	s->peer_stops |= (immediate & STOP) != 0;
}

static void datagram(struct side *s, struct link *l, const struct ibv_wc *wc, const uint8_t *at)
{
	uint64_t number = 0;
	struct op op;

	for (int i = 0; i < 8; i++)
		number |= (uint64_t)at[GRH + i] << 8 * i;
	if (!flow_datagram(&l->in, number)) {
		wrong("pair %u: datagram %llu, after %llu", l->number, (unsigned long long)number,
		      (unsigned long long)l->in.next);
		return;
	}
	op = flow_op(&l->in, number);
	EXPECT(wc->byte_len == op.length + GRH, "pair %u, datagram %llu: %u bytes, not %u", l->number,
	       (unsigned long long)number, wc->byte_len, op.length + GRH);
	check_immediate(s, l, &op, wc);
	check_content(l, &op, at + GRH, "datagram");
}

static void message(struct side *s, struct link *l, const struct ibv_wc *wc, const uint8_t *at)
{
	struct op op = flow_next_message(&l->in);
	bool told = op.kind == OP_WRITE_IMM;

	EXPECT(wc->opcode == (told ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV) && wc->byte_len == op.length,
	       "pair %u, message %llu: opcode %d, %u bytes, not %u", l->number, (unsigned long long)op.number,
	       wc->opcode, wc->byte_len, op.length);
	check_immediate(s, l, &op, wc);
	check_content(l, &op, told ? l->arena->told[l->told_here++ % TOLD_PLACES] : at,
		      told ? "WRITE with immediate" : "SEND");
}

static void received(struct side *s, struct link *l, const struct ibv_wc *wc)
{
	const uint8_t *at = inbox_take(l->inbox, wc->wr_id);

	if (!at)
		return;
	if (l->pair->transport == TRANSPORT_UD)
		datagram(s, l, wc, at);
	else
		message(s, l, wc, at);
	inbox_post(l->inbox, (uint32_t)(wc->wr_id & ~RECEIVED));
}

static void take(struct side *s, const struct ibv_wc *wc)
{
	struct link *l = NULL;

	for (unsigned int i = 0; i < s->all->pairs; i++)
		if (s->link[i].qp->qp_num == wc->qp_num)
			l = &s->link[i];
	if (!l) {
		wrong("a completion of queue pair %u, which has no traffic", wc->qp_num);
		return;
	}
	if (wc->status != IBV_WC_SUCCESS) {
		wrong("pair %u, %llx: %s", l->number, (unsigned long long)wc->wr_id,
		      ibv_wc_status_str(wc->status));
		MUST(wc->status == IBV_WC_SUCCESS);
	}
	s->operations++;
	if (wc->wr_id & RECEIVED)
		received(s, l, wc);
	else
		sent(l, wc);
}

unsigned int traffic_step(struct side *s)
{
	unsigned int count = 0;
	struct ibv_wc wc[8];

	s->stopping |= s->peer_stops;
	for (unsigned int i = 0; i < s->plan->contexts; i++)
		queue_take_events(s->channel[i], s->queue, s->plan->cqs);
	for (unsigned int i = 0; i < s->plan->cqs; i++) {
		int n = queue_is_due(&s->queue[i]) ? queue_poll(&s->queue[i], 8, wc) : 0;

		for (; n > 0; n = queue_poll(&s->queue[i], 8, wc)) {
			for (int j = 0; j < n; j++)
				take(s, &wc[j]);
			count += (unsigned int)n;
		}
		MUST(n == 0);
	}
	for (unsigned int i = 0; i < s->all->pairs; i++)
		post_due(s, &s->link[i]);
	if (count)
		s->last_ms = now_ms();
	return count;
}

bool traffic_is_over(const struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++) {
		const struct link *l = &s->link[i];

		if (!s->stopping || !may_end(l) || l->out.completed != l->out.posted)
			return false;
	}
	return true;
}

bool traffic_has_come(const struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++) {
		const struct link *l = &s->link[i];

		if (l->pair->transport == TRANSPORT_RC &&
		    l->in.messages < flow_messages_in(&l->in, l->peer_posted))
			return false;
	}
	return true;
}

static void check_atomics(const struct link *l)
{
	uint64_t sum = 0, swaps = 0;

	for (uint64_t n = 0; n < l->peer_posted; n++) {
		struct op op = flow_op(&l->in, n);

		if (op.kind == OP_ADD)
			sum += op.step;
		swaps += op.kind == OP_SWAP;
	}
	EXPECT(l->arena->sum == sum && l->arena->swaps == swaps,
	       "pair %u: the words that atomics change are %llu and %llu, not %llu and %llu", l->number,
	       (unsigned long long)l->arena->sum, (unsigned long long)l->arena->swaps,
	       (unsigned long long)sum, (unsigned long long)swaps);
}

void traffic_check(struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++) {
		struct link *l = &s->link[i];
		struct op op;

		if (l->pair->transport == TRANSPORT_UD) {
			EXPECT(l->in.next <= l->peer_posted, "pair %u: datagrams that nobody has sent", i);
			continue;
		}
		EXPECT(l->in.messages == flow_messages_in(&l->in, l->peer_posted),
		       "pair %u: %llu messages came, not %llu", i, (unsigned long long)l->in.messages,
		       (unsigned long long)flow_messages_in(&l->in, l->peer_posted));
		check_atomics(l);
		for (uint32_t place = 0; place < WRITES; place++)
			if (flow_last_write(&l->in, l->peer_posted, place, &op))
				check_content(l, &op, l->arena->writes[place], "WRITE");
	}
}

// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum stream_kind { KIND_WRITE, KIND_WRITE_IMM, KIND_READ, KIND_ADD, KIND_SWAP, KIND_MESSAGE };

/* Rounds in which a fault is injected: all early, so that every run gets there. */
enum { FAULT_WRITE = 3, FAULT_ADD = 5, FAULT_MESSAGE = 7 };

/* What a SEND carries behind its record header. */
struct message {
	struct record record;
	uint64_t round_and_one; /* 0: only an acknowledgement */
	uint64_t seen;
};

static size_t item_offset(const struct stream *l, enum area a, uint64_t number)
{
	return arena_offset(&l->arena, a, number);
}

static void *item(const struct stream *l, enum area a, uint64_t number)
{
	return arena_item(&l->arena, a, number);
}

static uint64_t word_get(const void *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static void word_put(void *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

static int post_receive(struct stream *l, uint64_t number)
{
	struct ibv_sge sge = { (uintptr_t)item(l, AREA_RECEIVES, number), MESSAGE_SIZE,
			       l->endpoint->mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = (uint64_t)l->index << 48 | number, .sg_list = &sge,
				  .num_sge = 1 };

	return endpoint_post_receive(l->endpoint, l->qp, &wr);
}

int stream_open(struct stream *l, struct endpoint *e, uint16_t index, size_t record_size,
	      uint8_t *base)
{
	int ret;

	memset(l, 0, sizeof(*l));
	l->endpoint = e;
	l->index = index;
	l->arena = (struct arena){ base, record_size };
	word_put(item(l, AREA_WORDS, 1), swap_value(index, 0));
	record_fill(item(l, AREA_PAGES, 0), record_size, RECORD_PAGE, index, 0);
	l->qp = endpoint_qp(e, STREAM_SEND_DEPTH, STREAM_RECEIVE_DEPTH);
	if (!l->qp)
		return -EIO;
	for (uint64_t n = 0; n < STREAM_RECEIVE_DEPTH; n++) {
		ret = post_receive(l, n);
		if (ret)
			return ret;
	}
	l->own = (struct address){
		.qpn = l->qp->qp_num,
		.psn = (uint32_t)random() & 0xffffff,
		.rkey = e->mr->rkey,
		.base = (uintptr_t)base,
		.gid = e->gid,
		.mtu = e->mtu,
	};
	return 0;
}

int stream_connect(struct stream *l, const struct retries *r)
{
	return endpoint_connect(l->endpoint, l->qp, l->own.psn, &l->peer, r);
}

void stream_close(struct stream *l)
{
	if (l->qp)
		ibv_destroy_qp(l->qp);
	l->qp = NULL;
}

/* @here: item in this side's arena; @there: offset of the other item in the peer's. */
static int post(struct stream *l, enum stream_kind kind, uint64_t number, uint64_t expects,
		struct ibv_send_wr *wr, void *here, size_t size, size_t there)
{
	struct ibv_sge sge = { (uintptr_t)here, (uint32_t)size, l->endpoint->mr->lkey };
	struct ibv_send_wr *bad;

	l->operations[l->posted % STREAM_SEND_DEPTH] =
		(struct operation){ (uint8_t)kind, number, expects };
	wr->wr_id = (uint64_t)l->index << 48 | l->posted;
	wr->sg_list = &sge;
	wr->num_sge = 1;
	wr->send_flags = IBV_SEND_SIGNALED;
	if (kind == KIND_ADD || kind == KIND_SWAP) {
		wr->wr.atomic.remote_addr = l->peer.base + there;
		wr->wr.atomic.rkey = l->peer.rkey;
	} else {
		wr->wr.rdma.remote_addr = l->peer.base + there;
		wr->wr.rdma.rkey = l->peer.rkey;
	}
	l->posted++;
	return -ibv_post_send(l->qp, wr, &bad);
}

static int post_write(struct stream *l, uint64_t r)
{
	void *out = item(l, AREA_OUT_WRITES, r);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE };

	record_fill(out, l->arena.record_size, RECORD_WRITE, l->index, r);
	if (l->inject == INJECT_CORRUPT && r == FAULT_WRITE)
		((uint8_t *)out)[l->arena.record_size / 2] ^= 1;
	if (l->inject == INJECT_LOSE && r == FAULT_WRITE)
		return 0;
	return post(l, KIND_WRITE, r, 0, &wr, out, l->arena.record_size,
		    item_offset(l, AREA_WRITES, r));
}

static int post_write_imm(struct stream *l, uint64_t r)
{
	void *out = item(l, AREA_OUT_WRITE_IMMS, r);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
				  .imm_data = htonl((uint32_t)r) };

	record_fill(out, l->arena.record_size, RECORD_WRITE_IMM, l->index, r);
	return post(l, KIND_WRITE_IMM, r, 0, &wr, out, l->arena.record_size,
		    item_offset(l, AREA_WRITE_IMMS, r));
}

static int post_read(struct stream *l, uint64_t r)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_READ };

	return post(l, KIND_READ, r, l->peer_seen, &wr, item(l, AREA_IN_PAGES, r),
		    l->arena.record_size, item_offset(l, AREA_PAGES, l->peer_seen));
}

static int post_add(struct stream *l, uint64_t r)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD };

	l->adds += add_step(r);
	if (l->inject == INJECT_LOSE && r == FAULT_ADD)
		wr.wr.atomic.compare_add = 0;
	else if (l->inject == INJECT_DUPLICATE && r == FAULT_ADD)
		wr.wr.atomic.compare_add = 2 * add_step(r);
	else
		wr.wr.atomic.compare_add = add_step(r);
	return post(l, KIND_ADD, r, 0, &wr, item(l, AREA_RESULTS, 2 * r), 8,
		    item_offset(l, AREA_WORDS, 0));
}

static int post_swap(struct stream *l, uint64_t r)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_ATOMIC_CMP_AND_SWP };

	wr.wr.atomic.compare_add = swap_value(l->peer_index, r);
	wr.wr.atomic.swap = swap_value(l->peer_index, r + 1);
	return post(l, KIND_SWAP, r, 0, &wr, item(l, AREA_RESULTS, 2 * r + 1), 8,
		    item_offset(l, AREA_WORDS, 1));
}

static int post_message(struct stream *l, uint64_t number, uint64_t round_and_one)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };
	struct message m = { .round_and_one = round_and_one, .seen = l->seen };
	uint8_t *out = item(l, AREA_OUT_MESSAGES, l->posted);

	memset(out, 0, MESSAGE_SIZE);
	memcpy(out, &m, sizeof(m));
	record_seal(out, MESSAGE_SIZE, RECORD_MESSAGE, l->index, number);
	l->acknowledged = l->seen;
	return post(l, KIND_MESSAGE, number, 0, &wr, out, MESSAGE_SIZE, 0);
}

/* Posts the SEND of round @r, with the injected fault if this is its round. */
static int post_round_message(struct stream *l, uint64_t r)
{
	uint64_t number = l->message++;

	if (r == FAULT_MESSAGE && l->inject == INJECT_LOSE)
		return 0;
	if (r == FAULT_MESSAGE && l->inject == INJECT_DUPLICATE) {
		int ret = post_message(l, number, r + 1);

		return ret ? ret : post_message(l, number, r + 1);
	}
	if (r == FAULT_MESSAGE && l->inject == INJECT_REORDER) {
		int ret = post_message(l, l->message, r + 1);

		l->message++;
		return ret ? ret : post_message(l, number, 0);
	}
	return post_message(l, number, r + 1);
}

bool stream_may_issue(const struct stream *l)
{
	/* Two more than a round: room for an acknowledgement and an injected repetition. */
	return l->round - l->peer_seen < STREAM_WINDOW &&
	       l->posted - l->completed + STREAM_OPERATIONS + 2 <= STREAM_SEND_DEPTH;
}

int stream_issue(struct stream *l)
{
	static int (*const steps[])(struct stream *, uint64_t) = {
		post_write, post_write_imm, post_read, post_add, post_swap, post_round_message,
	};
	uint64_t r = l->round++;
	int ret;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ret = steps[i](l, r);
		if (ret)
			return ret;
	}
	return 0;
}

int stream_acknowledge(struct stream *l)
{
	if (l->acknowledged == l->seen || l->posted - l->completed >= STREAM_SEND_DEPTH)
		return 0;
	return post_message(l, l->message++, 0);
}

int stream_sent(struct stream *l, struct stream *home, const struct ibv_wc *wc, struct tally *t)
{
	uint64_t sequence = wc->wr_id & 0xffffffffffffULL;
	struct operation *o = &l->operations[sequence % STREAM_SEND_DEPTH];

	(void)home;
	book_see(&l->completions, sequence, t);
	if (sequence + STREAM_SEND_DEPTH < l->posted || sequence >= l->posted) {
		t->corrupted++;
		return -EPROTO;
	}
	l->completed++;
	t->operations++;
	switch (o->kind) {
	case KIND_READ:
		record_check(item(l, AREA_IN_PAGES, o->number), l->arena.record_size,
			     RECORD_PAGE, l->peer_index, o->expects, t);
		break;
	case KIND_ADD:
		adder_see(&l->adder, word_get(item(l, AREA_RESULTS, 2 * o->number)), t);
		break;
	case KIND_SWAP:
		swap_see(l->peer_index, o->number,
			 word_get(item(l, AREA_RESULTS, 2 * o->number + 1)), t);
		break;
	default:
		break;
	}
	return 0;
}

/* Called when the SEND of the peer's round @r has come: all of the round must be here. */
static void check_round(struct stream *l, uint64_t r, struct tally *t)
{
	static const struct {
		enum area area;
		enum record_kind kind;
	} rings[] = { { AREA_WRITES, RECORD_WRITE }, { AREA_WRITE_IMMS, RECORD_WRITE_IMM } };

	book_see(&l->rounds, r, t);
	for (size_t i = 0; i < 2; i++) {
		void *at = item(l, rings[i].area, r);
		void *old = item(l, rings[i].area, r + STREAM_RING / 2);

		record_check(at, l->arena.record_size, rings[i].kind, l->peer_index, r, t);
		record_consume(at);
		/* This one was consumed half a ring ago. If it is back, the write ran twice. */
		if (r >= STREAM_RING / 2 && record_is_back(old, rings[i].kind, l->peer_index,
							 r - STREAM_RING / 2)) {
			t->duplicated++;
			record_consume(old);
		}
	}
	if (l->immediates.next <= r)
		t->reordered++; /* a lost one is counted when the book is closed */
	if (l->seen < r + 1)
		l->seen = r + 1;
	record_fill(item(l, AREA_PAGES, r + 1), l->arena.record_size, RECORD_PAGE, l->index,
		    r + 1);
}

static void take_message(struct stream *l, const uint8_t *in, struct tally *t)
{
	struct message m;

	if (!record_sealed(in, MESSAGE_SIZE, RECORD_MESSAGE, l->peer_index, t))
		return;
	memcpy(&m, in, sizeof(m));
	book_see(&l->messages, m.record.number, t);
	if (m.seen > l->round) {
		t->corrupted++;
		return;
	}
	if (m.seen > l->peer_seen)
		l->peer_seen = m.seen;
	/* A repeated message was counted above; its round is checked once only. */
	if (m.round_and_one && m.round_and_one > l->rounds.next)
		check_round(l, m.round_and_one - 1, t);
}

/*
 * Queue pairs take requests from a shared queue in turn, but each says so when it is done: which
 * completion is the first says nothing.
 */
static void see_receive(struct stream *home, uint64_t number, struct tally *t)
{
	struct tally seen = { 0 };

	book_see(&home->receives, number, &seen);
	if (home->endpoint->srq)
		seen.reordered = 0;
	tally_merge(t, &seen);
	home->received++;
}

int stream_received(struct stream *l, struct stream *home, const struct ibv_wc *wc, struct tally *t)
{
	uint64_t number = wc->wr_id & 0xffffffffffffULL;

	see_receive(home, number, t);
	if (wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM) {
		uint64_t r = l->immediates.next;

		r += (int32_t)(ntohl(wc->imm_data) - (uint32_t)r);
		book_see(&l->immediates, r, t);
	} else {
		take_message(l, item(home, AREA_RECEIVES, number), t);
	}
	return post_receive(home, number + STREAM_RECEIVE_DEPTH);
}

bool stream_drained(const struct stream *l)
{
	return l->completed == l->posted && l->peer_seen == l->round;
}

void stream_finish(struct stream *l, struct tally *t)
{
	const struct totals *peer = &l->peer_totals;
	uint64_t word = word_get(item(l, AREA_WORDS, 0));
	uint64_t swap = word_get(item(l, AREA_WORDS, 1));

	book_close(&l->rounds, peer->rounds, t);
	book_close(&l->messages, peer->messages, t);
	book_close(&l->immediates, peer->rounds, t);
	book_close(&l->completions, l->posted, t);
	book_close(&l->receives, l->received, t);
	if (word < peer->adds)
		t->lost++;
	else if (word > peer->adds)
		t->duplicated++;
	swap_see(l->index, peer->rounds, swap, t);
}

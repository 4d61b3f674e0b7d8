// SPDX-License-Identifier: GPL-2.0
#include "traffic.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS		(TRAFFIC_RECVS + 2)
#define RECV_ID		(1ULL << 63)
#define INLINE_BYTES	64

enum kind { KIND_SEND, KIND_WRITE, KIND_READ, KIND_ADD, KIND_SWAP, KINDS };

struct traffic_memory {
	/* what the other end works on */
	uint64_t add, swap;
	uint8_t target[SLOTS][TRAFFIC_BYTES];
	uint8_t source[TRAFFIC_BYTES];
	uint8_t recv[TRAFFIC_RECVS][TRAFFIC_BYTES];
	/* what this end sends and gets */
	uint8_t out[TRAFFIC_WINDOW][TRAFFIC_BYTES];
	uint8_t in[TRAFFIC_WINDOW][TRAFFIC_BYTES];
};

#define OFFSET(member) offsetof(struct traffic_memory, member)

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static enum kind kind_of(uint64_t seq)
{
	return seq % KINDS;
}

static uint32_t length_of(uint64_t seed, uint64_t seq)
{
	/* some that fit into the request itself, most of many packets */
	return mix(seed + seq) % 4 == 0 ? 1 + seq % INLINE_BYTES :
					  1 + mix(seed ^ seq) % TRAFFIC_BYTES;
}

static void fill(uint8_t *p, uint32_t length, uint64_t seed, uint64_t seq)
{
	uint32_t i, x = mix(seed * 31 + seq);

	for (i = 0; i < length; i++)
		p[i] = (x + i) ^ (i >> 8);
}

static void expect(const uint8_t *p, uint32_t length, uint64_t seed,
		   uint64_t seq, const char *what)
{
	uint32_t i, x = mix(seed * 31 + seq);

	for (i = 0; i < length; i++)
		if (p[i] != (uint8_t)((x + i) ^ (i >> 8)))
			errx(1, "%s %llu: byte %u of %u is wrong", what,
			     (unsigned long long)seq, i, length);
}

/* The n-th message (SEND or WRITE) of an end is this request of it. */
static uint64_t message_seq(uint64_t n)
{
	return n / 2 * KINDS + (n % 2 ? KIND_WRITE : KIND_SEND);
}

static uint64_t messages_in(uint64_t total)
{
	uint64_t rest = total % KINDS;

	return total / KINDS * 2 + (rest > 2 ? 2 : rest);
}

static void post_recv(struct traffic *t)
{
	uint32_t slot = t->recvs % TRAFFIC_RECVS;
	struct ibv_sge sge = {
		.addr = (uintptr_t)t->mem->recv[slot],
		.length = TRAFFIC_BYTES,
		.lkey = t->end.mr->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = RECV_ID | t->recvs,
		.sg_list = &sge,
		.num_sge = 1,
	};

	endpoint_post_recv(&t->end, &wr);
	t->recvs++;
}

void traffic_open(struct traffic *t, const char *device, uint64_t seed,
		  uint64_t total)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = TRAFFIC_WINDOW,
		.max_recv_wr = TRAFFIC_RECVS,
		.max_send_sge = 2,
		.max_recv_sge = 2,
		.max_inline_data = INLINE_BYTES,
	};

	memset(t, 0, sizeof(*t));
	t->seed = seed;
	t->total = total;
	t->mem = mmap(NULL, sizeof(*t->mem), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->mem == MAP_FAILED)
		err(1, "mmap");
	fill(t->mem->source, TRAFFIC_BYTES, seed, 0);

	endpoint_open(&t->end, device, IBV_QPT_RC, &cap, t->mem,
		      sizeof(*t->mem), t);
	t->local.gid = t->end.gid;
	t->local.qpn = t->end.qp->qp_num;
	/* PSNs have 24 bits: wrap around soon, but after the first moves */
	t->local.psn = 0x1000000 - 2000 - seed % 2000;
	t->local.rkey = t->end.mr->rkey;
	t->local.va = (uintptr_t)t->mem;
}

void traffic_connect(struct traffic *t, const struct traffic_address *remote,
		     uint64_t remote_seed)
{
	const char *retry_cnt = getenv("LIVE_RETRY_CNT");
	const struct endpoint_path path = {
		.gid = remote->gid,
		.qpn = remote->qpn,
		.sq_psn = t->local.psn,
		.rq_psn = remote->psn,
		/*
		 * 67 ms, 1.07 s with LIVE_RETRY_CNT, 8.6 s without a retry: a
		 * lost packet ends the connection anyway, a late one must not
		 */
		.timeout = !retry_cnt ? 14 : atoi(retry_cnt) ? 18 : 21,
		.retry_cnt = retry_cnt ? (uint8_t)atoi(retry_cnt) : 7,
		.rnr_retry = 7,
		.min_rnr_timer = 1,
	};
	int i;

	t->remote = *remote;
	t->remote_seed = remote_seed;

	endpoint_init(&t->end);
	for (i = 0; i < TRAFFIC_RECVS; i++)
		post_recv(t);
	endpoint_connect(&t->end, &path);
}

static void post_send(struct traffic *t)
{
	uint64_t seq = t->posted;
	uint32_t slot = seq % TRAFFIC_WINDOW;
	uint32_t length = length_of(t->seed, seq);
	struct ibv_sge sge[2] = {
		{ .addr = (uintptr_t)t->mem->out[slot], .length = length / 3,
		  .lkey = t->end.mr->lkey },
		{ .addr = (uintptr_t)t->mem->out[slot] + length / 3,
		  .length = length - length / 3, .lkey = t->end.mr->lkey },
	};
	struct ibv_send_wr *bad, wr = {
		.wr_id = seq,
		.sg_list = sge,
		.num_sge = 2,
		.send_flags = IBV_SEND_SIGNALED,
		.imm_data = htonl((uint32_t)seq),
		.wr.rdma.rkey = t->remote.rkey,
	};

	switch (kind_of(seq)) {
	case KIND_SEND:
		fill(t->mem->out[slot], length, t->seed, seq);
		wr.opcode = IBV_WR_SEND_WITH_IMM;
		if (length <= INLINE_BYTES)
			wr.send_flags |= IBV_SEND_INLINE;
		t->messages++;
		break;
	case KIND_WRITE:
		fill(t->mem->out[slot], length, t->seed, seq);
		wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
		wr.wr.rdma.remote_addr = t->remote.va +
					 OFFSET(target[t->messages % SLOTS]);
		if (length <= INLINE_BYTES)
			wr.send_flags |= IBV_SEND_INLINE;
		t->messages++;
		break;
	case KIND_READ:
		memset(t->mem->in[slot], 0, length);
		sge[0].addr = (uintptr_t)t->mem->in[slot];
		sge[1].addr = (uintptr_t)t->mem->in[slot] + length / 3;
		wr.opcode = IBV_WR_RDMA_READ;
		wr.wr.rdma.remote_addr = t->remote.va + OFFSET(source);
		break;
	default:
		memset(t->mem->in[slot], 0xff, 8);
		sge[0].addr = (uintptr_t)t->mem->in[slot];
		sge[0].length = 8;
		wr.num_sge = 1;
		wr.wr.atomic.rkey = t->remote.rkey;
		if (kind_of(seq) == KIND_ADD) {
			wr.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
			wr.wr.atomic.remote_addr = t->remote.va + OFFSET(add);
			wr.wr.atomic.compare_add = 1;
		} else {
			wr.opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
			wr.wr.atomic.remote_addr = t->remote.va + OFFSET(swap);
			wr.wr.atomic.compare_add = seq / KINDS;
			wr.wr.atomic.swap = seq / KINDS + 1;
		}
	}

	if (ibv_post_send(t->end.qp, &wr, &bad))
		err(1, "ibv_post_send");
	t->posted++;
}

static void sent(struct traffic *t, const struct ibv_wc *wc)
{
	uint64_t seq = t->completed++;
	uint32_t slot = seq % TRAFFIC_WINDOW;
	uint64_t old;

	if (wc->wr_id != seq)
		errx(1, "request %llu completed, not %llu",
		     (unsigned long long)wc->wr_id, (unsigned long long)seq);

	memcpy(&old, t->mem->in[slot], sizeof(old));
	switch (kind_of(seq)) {
	case KIND_READ:
		expect(t->mem->in[slot], length_of(t->seed, seq),
		       t->remote_seed, 0, "READ");
		break;
	case KIND_ADD:
		if (old != t->adds++)
			errx(1, "FETCH_ADD %llu: got %llu",
			     (unsigned long long)t->adds - 1,
			     (unsigned long long)old);
		break;
	case KIND_SWAP:
		if (old != t->swaps++)
			errx(1, "CMP_SWAP %llu: got %llu",
			     (unsigned long long)t->swaps - 1,
			     (unsigned long long)old);
		break;
	default:
		break;
	}
}

static void received(struct traffic *t, const struct ibv_wc *wc)
{
	uint64_t n = t->received++, seq = message_seq(n);
	uint32_t length = length_of(t->remote_seed, seq);
	bool is_send = kind_of(seq) == KIND_SEND;

	if (wc->wr_id != (RECV_ID | n))
		errx(1, "receive request %llx completed as number %llu",
		     (unsigned long long)wc->wr_id, (unsigned long long)n);
	if (ntohl(wc->imm_data) != (uint32_t)seq || wc->byte_len != length ||
	    wc->opcode != (is_send ? IBV_WC_RECV : IBV_WC_RECV_RDMA_WITH_IMM))
		errx(1, "message %llu: got number %u, %u bytes, opcode %d",
		     (unsigned long long)seq, ntohl(wc->imm_data),
		     wc->byte_len, wc->opcode);

	expect(is_send ? t->mem->recv[n % TRAFFIC_RECVS] :
			 t->mem->target[n % SLOTS],
	       length, t->remote_seed, seq, is_send ? "SEND" : "WRITE");
	post_recv(t);
}

static int poll_some(struct traffic *t)
{
	struct ibv_wc wc[8];
	int i, n = ibv_poll_cq(t->end.cq, 8, wc);

	if (n < 0)
		errx(1, "ibv_poll_cq");

	for (i = 0; i < n; i++) {
		if (wc[i].status != IBV_WC_SUCCESS)
			errx(1, "completion of %llx: %s",
			     (unsigned long long)wc[i].wr_id,
			     ibv_wc_status_str(wc[i].status));
		if (wc[i].wr_id & RECV_ID)
			received(t, &wc[i]);
		else
			sent(t, &wc[i]);
	}
	return n;
}

bool traffic_step(struct traffic *t)
{
	while (t->posted < t->total &&
	       t->posted - t->completed < TRAFFIC_WINDOW)
		post_send(t);

	while (poll_some(t))
		;

	return t->completed == t->total &&
	       t->received == messages_in(t->total);
}

void traffic_wait(struct traffic *t, int ms)
{
	struct pollfd p = { .fd = t->end.channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *context;

	if (poll(&p, 1, ms) <= 0)
		return;

	if (ibv_get_cq_event(t->end.channel, &cq, &context))
		err(1, "ibv_get_cq_event");
	if (cq != t->end.cq || context != t)
		errx(1, "event of another completion queue");
	t->events++;
	ibv_ack_cq_events(cq, 1);
	if (ibv_req_notify_cq(t->end.cq, 0))
		err(1, "ibv_req_notify_cq");
}

void traffic_verify(const struct traffic *t)
{
	/* the other end sends as many */
	if (t->mem->add != t->adds || t->mem->swap != t->swaps)
		errx(1, "counters are %llu and %llu, not %llu and %llu",
		     (unsigned long long)t->mem->add,
		     (unsigned long long)t->mem->swap,
		     (unsigned long long)t->adds,
		     (unsigned long long)t->swaps);
}

void traffic_close(struct traffic *t)
{
	endpoint_close(&t->end);
	munmap(t->mem, sizeof(*t->mem));
}

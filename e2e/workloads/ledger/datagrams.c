// SPDX-License-Identifier: Apache-2.0
#include "datagrams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "failure.h"

#define PORT 1
#define QKEY 0x1ed9e2
#define GRH 40 /* bytes before a received datagram */
#define SLOT 2048
#define RECEIVES 64
#define SENDS 8
#define MEMORY ((RECEIVES + SENDS) * SLOT)
#define WORDS 200 /* longest content */
#define PERIOD_NS (20 * 1000000LL)
#define SILENCE_NS (60 * SECOND)
#define RECEIVE_ID (1ULL << 63)
#define EXCHANGE_TIMEOUT_MS 60000

struct datagram {
	uint32_t number; /* from 1 */
	uint32_t words;
	uint32_t content[];
};

static uint32_t word(uint32_t number, uint32_t at)
{
	return (number * 2654435761u) ^ (at * 40503u);
}

static int failed(const char *what)
{
	return broke(what, errno ? -errno : -EIO);
}

static int to_state(struct datagrams *d, enum ibv_qp_state state, int more)
{
	struct ibv_qp_attr attr = { .qp_state = state, .port_num = PORT, .qkey = QKEY };

	return ibv_modify_qp(d->qp, &attr, IBV_QP_STATE | more) ? failed("UD queue pair") : 0;
}

static int post_receive(struct datagrams *d)
{
	struct ibv_sge sge = { (uintptr_t)d->memory + d->requests % RECEIVES * SLOT, SLOT,
			       d->mr->lkey };
	struct ibv_recv_wr *bad, wr = { .wr_id = RECEIVE_ID | d->requests, .sg_list = &sge,
					.num_sge = 1 };

	d->requests++;
	return ibv_post_recv(d->qp, &wr, &bad) ? failed("post a receive for a datagram") : 0;
}

int datagrams_open(struct datagrams *d, struct endpoint *e)
{
	struct ibv_qp_init_attr init = {
		.cap = { SENDS, RECEIVES, 1, 1, 0 },
		.qp_type = IBV_QPT_UD,
		.sq_sig_all = 1,
	};
	int ret;

	d->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d->memory == MAP_FAILED) {
		d->memory = NULL;
		return failed("map memory for datagrams");
	}
	d->mr = ibv_reg_mr(e->pd, d->memory, MEMORY, IBV_ACCESS_LOCAL_WRITE);
	d->cq = ibv_create_cq(e->context, RECEIVES + SENDS, NULL, NULL, 0);
	if (!d->mr || !d->cq)
		return failed("memory or CQ for datagrams");
	init.send_cq = d->cq;
	init.recv_cq = d->cq;
	d->qp = ibv_create_qp(e->pd, &init);
	if (!d->qp)
		return failed("create UD queue pair");
	ret = to_state(d, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
	for (int i = 0; !ret && i < RECEIVES; i++)
		ret = post_receive(d);
	if (!ret)
		ret = to_state(d, IBV_QPS_RTR, 0);
	return ret ? ret : to_state(d, IBV_QPS_RTS, IBV_QP_SQ_PSN);
}

int datagrams_offer(const struct datagrams *d, struct control *c)
{
	return control_send(c, "datagrams %u", d->qp->qp_num);
}

int datagrams_connect(struct datagrams *d, struct endpoint *e, struct control *c,
		      const union ibv_gid *gid)
{
	struct ibv_ah_attr attr = {
		.grh = { .dgid = *gid, .hop_limit = 64, .sgid_index = (uint8_t)e->gid_index },
		.is_global = 1,
		.port_num = PORT,
	};
	char line[CONTROL_LINE];
	int ret = control_receive(c, line, EXCHANGE_TIMEOUT_MS);

	if (ret <= 0)
		return broke("receive the peer's UD queue pair", ret ? ret : -ETIMEDOUT);
	if (sscanf(line, "datagrams %u", &d->peer_qpn) != 1)
		return broke("both sides need --datagrams", -EPROTO);
	d->ah = ibv_create_ah(e->pd, &attr);
	return d->ah ? 0 : failed("create an address handle");
}

static int send_one(struct datagrams *d)
{
	uint8_t *at = d->memory + (RECEIVES + d->posted % SENDS) * SLOT;
	struct datagram *datagram = (struct datagram *)at;
	struct ibv_sge sge = { (uintptr_t)at, 0, d->mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.wr_id = d->posted,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.wr.ud = { d->ah, d->peer_qpn, QKEY },
	};

	datagram->number = (uint32_t)++d->posted;
	datagram->words = datagram->number % WORDS;
	for (uint32_t i = 0; i < datagram->words; i++)
		datagram->content[i] = word(datagram->number, i);
	sge.length = (uint32_t)(sizeof(*datagram) + datagram->words * sizeof(uint32_t));
	return ibv_post_send(d->qp, &wr, &bad) ? failed("post a datagram") : 0;
}

static void check(struct datagrams *d, const struct ibv_wc *wc, struct tally *tally)
{
	uint64_t slot = (wc->wr_id & ~RECEIVE_ID) % RECEIVES;
	const struct datagram *datagram =
		(const struct datagram *)(d->memory + slot * SLOT + GRH);
	bool intact = wc->src_qp == d->peer_qpn && datagram->words == datagram->number % WORDS &&
		      wc->byte_len == GRH + sizeof(*datagram) + datagram->words * sizeof(uint32_t);

	for (uint32_t i = 0; intact && i < datagram->words; i++)
		intact = datagram->content[i] == word(datagram->number, i);
	if (!intact)
		tally->corrupted++;
	else if (datagram->number == d->newest)
		tally->duplicated++;
	else if (datagram->number < d->newest)
		tally->reordered++;
	else
		d->newest = datagram->number;
}

static int take(struct datagrams *d, int64_t now, struct tally *tally)
{
	struct ibv_wc wc;
	int n, ret = 0;

	while (!ret && (n = ibv_poll_cq(d->cq, 1, &wc)) > 0) {
		if (wc.status != IBV_WC_SUCCESS) {
			fprintf(stderr, "ledger: datagram: %s\n", ibv_wc_status_str(wc.status));
			return -EIO;
		}
		if (wc.wr_id & RECEIVE_ID) {
			check(d, &wc, tally);
			d->last_received = now;
			ret = post_receive(d);
		} else if (wc.wr_id != d->completed++) {
			tally->reordered++;
		}
	}
	return ret ? ret : n < 0 ? broke("poll the datagrams' CQ", -EIO) : 0;
}

int datagrams_step(struct datagrams *d, int64_t now, bool sending, struct tally *tally)
{
	int ret = take(d, now, tally);

	/* the nodes' clocks may differ a little */
	if (!d->last_received || now < d->last_received)
		d->last_received = now;
	if (d->next > now + PERIOD_NS)
		d->next = now;
	if (ret || !sending)
		return ret;
	if (now - d->last_received > SILENCE_NS)
		return broke("no datagram comes any more", -ETIMEDOUT);
	if (now < d->next || d->posted - d->completed >= SENDS)
		return 0;
	d->next = now + PERIOD_NS;
	return send_one(d);
}

void datagrams_close(struct datagrams *d)
{
	if (d->ah)
		ibv_destroy_ah(d->ah);
	if (d->qp)
		ibv_destroy_qp(d->qp);
	if (d->cq)
		ibv_destroy_cq(d->cq);
	if (d->mr)
		ibv_dereg_mr(d->mr);
	if (d->memory)
		munmap(d->memory, MEMORY);
}

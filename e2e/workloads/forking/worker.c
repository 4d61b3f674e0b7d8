// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "exchange.h"

/* All of a worker's memory: registered by it, after the fork. */
struct arena {
	struct message answer;
	struct message requests[REQUESTS];
};

static int post(struct worker *w, uint64_t slot)
{
	struct arena *arena = (struct arena *)w->endpoint.arena;
	struct ibv_sge sge = {
		.addr = (uintptr_t)&arena->requests[slot],
		.length = sizeof(struct message),
		.lkey = w->endpoint.mr->lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = slot, .sg_list = &sge, .num_sge = 1 };

	return endpoint_post_receive(&w->endpoint, w->qp, &wr);
}

static int set_up(struct worker *w)
{
	const struct retries retries = { 18, 7, 7, 12 };
	struct address own = { 0 }, peer;
	int ret = endpoint_set_up(&w->endpoint, true, 2 * REQUESTS, sizeof(struct arena));

	if (ret)
		return ret;
	w->qp = endpoint_qp(&w->endpoint, 1, REQUESTS);
	if (!w->qp)
		return -EIO;
	for (uint64_t slot = 0; slot < REQUESTS && !ret; slot++)
		ret = post(w, slot);
	if (ret)
		return failed("post", ret);
	own.qpn = w->qp->qp_num;
	own.rkey = w->endpoint.mr->rkey;
	own.base = (uintptr_t)w->endpoint.arena;
	own.gid = w->endpoint.gid;
	own.mtu = w->endpoint.mtu;
	ret = control_listen(&w->control, NULL, FORKING_PORT + (int)w->number, STALL_S);
	if (!ret)
		ret = address_send(&w->control, w->number, &own);
	if (!ret)
		ret = address_receive(&w->control, w->number, &peer);
	if (ret)
		return failed("meet the client", ret);
	ret = endpoint_connect(&w->endpoint, w->qp, own.psn, &peer, &retries);
	return ret ? ret : control_send(&w->control, "ready");
}

static int answer(struct worker *w, uint64_t slot)
{
	struct arena *arena = (struct arena *)w->endpoint.arena;

	w->rounds++;
	if (!message_is_right(&arena->requests[slot], REQUEST, w->number, w->rounds))
		w->wrong++;
	message_fill(&arena->answer, ANSWER, w->number, w->rounds);
	__atomic_store_n(&arena->answer.round, w->rounds, __ATOMIC_RELEASE);
	return post(w, slot);
}

/* Until the client says how many rounds there were. */
static int serve(struct worker *w)
{
	char line[CONTROL_LINE];
	uint64_t wanted;
	struct ibv_wc wc;
	int ret;

	for (;;) {
		ret = wait_completion(&w->endpoint, w->endpoint.receive_cq, &w->control, 1000, &wc);
		if (ret > 0)
			ret = answer(w, wc.wr_id);
		if (ret)
			return failed("serve", ret);
		ret = control_receive(&w->control, line, 0);
		if (ret < 0)
			return failed("hear the client", ret);
		if (!ret)
			continue;
		if (sscanf(line, "end %" SCNu64, &wanted) != 1)
			return failed("hear the client", -EPROTO);
		if (wanted != w->rounds) {
			fprintf(stderr, "exchange: worker %u has had %" PRIu64 " requests of %" PRIu64 "\n",
				w->number, w->rounds, wanted);
			w->wrong++;
		}
		return control_send(&w->control, "wrong %" PRIu64, w->wrong);
	}
}

int work(struct worker *w)
{
	int ret = set_up(w);

	if (!ret)
		ret = serve(w);
	control_close(&w->control);
	if (w->qp)
		ibv_destroy_qp(w->qp);
	endpoint_close(&w->endpoint);
	if (ret)
		return 3;
	return w->wrong ? 1 : 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"

#define CONNECT_S	60
#define PROGRESS_S	2
#define PAUSE_US	2000

struct connection {
	unsigned int number;
	struct control control;
	struct ibv_qp *qp;
	struct address peer;
};

struct client {
	struct endpoint endpoint;
	struct connection connections[MAX_WORKERS];
	unsigned int workers;
	uint64_t rounds, wrong;
};

/* The message that is sent and the one that is read. */
static struct message *buffer(struct client *c, enum content kind)
{
	return (struct message *)c->endpoint.arena + (kind == ANSWER);
}

static int meet(struct client *c, struct connection *with, const char *server)
{
	const struct retries retries = { 18, 7, 7, 12 };
	struct address own = { .gid = c->endpoint.gid, .mtu = c->endpoint.mtu };
	char line[CONTROL_LINE];
	int ret;

	with->qp = endpoint_qp(&c->endpoint, 4, 1);
	if (!with->qp)
		return -EIO;
	own.qpn = with->qp->qp_num;
	ret = control_connect(&with->control, server, FORKING_PORT + (int)with->number, CONNECT_S);
	if (!ret)
		ret = address_receive(&with->control, with->number, &with->peer);
	if (!ret)
		ret = address_send(&with->control, with->number, &own);
	if (ret)
		return failed("meet a worker", ret);
	ret = endpoint_connect(&c->endpoint, with->qp, own.psn, &with->peer, &retries);
	if (ret)
		return ret;
	/* Its queue pair must take requests before one is sent. */
	ret = control_receive(&with->control, line, CONNECT_S * 1000);
	return ret > 0 ? 0 : failed("wait for a worker", ret ? ret : -ETIMEDOUT);
}

/* Posts one request and waits until it is done. */
static int run(struct client *c, struct connection *with, enum ibv_wr_opcode opcode)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)buffer(c, opcode == IBV_WR_SEND ? REQUEST : ANSWER),
		.length = sizeof(struct message),
		.lkey = c->endpoint.mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = with->peer.base, .rkey = with->peer.rkey },
	}, *bad;
	time_t end = time(NULL) + STALL_S;
	struct ibv_wc wc;
	int ret = -ibv_post_send(with->qp, &wr, &bad);

	while (!ret) {
		ret = wait_completion(&c->endpoint, c->endpoint.send_cq, NULL, 1000, &wc);
		if (ret > 0)
			return 0;
		if (!ret && time(NULL) > end)
			ret = -ETIMEDOUT;
	}
	return failed(opcode == IBV_WR_SEND ? "send" : "read", ret);
}

/* Reads until the answer to this round is there, and then once more: the first READ may have met it half written. */
static int read_answer(struct client *c, struct connection *with)
{
	time_t end = time(NULL) + STALL_S;
	int ret;

	do {
		ret = run(c, with, IBV_WR_RDMA_READ);
		if (ret)
			return ret;
		if (time(NULL) > end)
			return failed("wait for an answer", -ETIMEDOUT);
	} while (buffer(c, ANSWER)->round < c->rounds);
	ret = run(c, with, IBV_WR_RDMA_READ);
	if (!ret && !message_is_right(buffer(c, ANSWER), ANSWER, with->number, c->rounds))
		c->wrong++;
	return ret;
}

static int do_round(struct client *c)
{
	int ret = 0;

	c->rounds++;
	for (unsigned int i = 0; i < c->workers && !ret; i++) {
		message_fill(buffer(c, REQUEST), REQUEST, i, c->rounds);
		buffer(c, REQUEST)->round = c->rounds;
		ret = run(c, &c->connections[i], IBV_WR_SEND);
		if (!ret)
			ret = read_answer(c, &c->connections[i]);
	}
	return ret;
}

/* Tells each worker how many rounds there were, and adds what it has found wrong. */
static int end(struct client *c)
{
	char line[CONTROL_LINE];
	uint64_t wrong;
	int ret;

	for (unsigned int i = 0; i < c->workers; i++) {
		struct control *control = &c->connections[i].control;

		ret = control_send(control, "end %" PRIu64, c->rounds);
		if (!ret)
			ret = control_receive(control, line, STALL_S * 1000);
		if (ret <= 0)
			return failed("end", ret ? ret : -ETIMEDOUT);
		if (sscanf(line, "wrong %" SCNu64, &wrong) != 1)
			return failed("end", -EPROTO);
		c->wrong += wrong;
	}
	return 0;
}

int exchange_with(const char *server, unsigned int workers, unsigned int seconds,
		  struct verdict *verdict)
{
	struct client *c = calloc(1, sizeof(*c));
	/* By the wall clock: the monotonic clock is another one after a move. */
	time_t now = time(NULL), until, progress = now;
	int ret;

	if (!c)
		return 3;
	c->workers = workers;
	for (unsigned int i = 0; i < workers; i++) {
		c->connections[i].number = i;
		c->connections[i].control.fd = -1;
	}
	ret = endpoint_open_device(&c->endpoint, NULL, -1);
	if (!ret)
		ret = endpoint_set_up(&c->endpoint, true, 64, 2 * sizeof(struct message));
	for (unsigned int i = 0; i < workers && !ret; i++)
		ret = meet(c, &c->connections[i], server);
	for (until = time(NULL) + seconds; !ret && now < until; now = time(NULL)) {
		ret = do_round(c);
		if (now >= progress) {
			printf("progress %" PRIu64 "\n", c->rounds);
			fflush(stdout);
			progress = now + PROGRESS_S;
		}
		usleep(PAUSE_US);
	}
	if (!ret)
		ret = end(c);
	if (!ret) {
		verdict->rounds += c->rounds;
		verdict->wrong += c->wrong;
	}
	ret = ret ? 3 : c->wrong ? 1 : 0;
	for (unsigned int i = 0; i < workers; i++) {
		control_close(&c->connections[i].control);
		if (c->connections[i].qp)
			ibv_destroy_qp(c->connections[i].qp);
	}
	endpoint_close(&c->endpoint);
	free(c);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Two ends play ping-pong with datagrams as ibv_ud_pingpong does: each sends
 * when it has the other's, and none repeats anything. One that is lost ends it.
 * They move in turns, in the middle of it, each as a node's agent does it: held
 * but for datagrams, then held, dumped, destroyed, restored, resumed.
 *
 * usage: pingpong NETNS DEVICE PEER_NETNS PEER_DEVICE [MOVES [SEED]]
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "datagram_pair.h"
#include "image.h"
#include "pair.h"

#define HOLD_TIMER	14
#define HOLD_MS		10000
#define RECEIVES	8
#define BYTES		1000	/* of a datagram */
#define SLOT		2048
#define RECEIVE_ID	(1ULL << 63)
#define ROUNDS		10	/* between two moves */
#define WINDOW_MS	500	/* an answer that is on its way arrives in that time */
#define PATIENCE_MS	20000	/* emulated nodes may be slow */

struct player {
	struct endpoint e;
	struct ibv_ah *ah;
	uint32_t peer_qpn;
	uint8_t *memory;
	bool serves;		/* sends the first one */
	uint64_t posted, completed, received;
	uint64_t in_hold;	/* of those received */
	double heard;		/* when it has received the last one */
};

static void *slot(const struct player *t, uint64_t n)
{
	return t->memory + n * SLOT;
}

static void receive(struct player *t, uint64_t nth)
{
	datagram_receive(&t->e, slot(t, nth % RECEIVES), SLOT,
			 RECEIVE_ID | nth);
}

static void send_one(struct player *t)
{
	uint64_t *data = slot(t, RECEIVES);
	struct datagram d = {
		.ah = t->ah,
		.qpn = t->peer_qpn,
		.data = data,
		.size = BYTES,
		.wr_id = t->posted,
	};

	*data = ++t->posted;
	datagram_send(&t->e, &d);
}

static void take(struct player *t, const struct ibv_wc *wc)
{
	uint64_t nth = wc->wr_id & ~RECEIVE_ID;
	const uint64_t *data = slot(t, nth % RECEIVES) + DATAGRAM_GRH;

	if (nth != t->received || *data != nth + 1 ||
	    wc->byte_len != DATAGRAM_GRH + BYTES)
		errx(1, "request %llu has datagram %llu of %u bytes, after %llu",
		     (unsigned long long)nth, (unsigned long long)*data,
		     wc->byte_len, (unsigned long long)t->received);
	t->received++;
	t->heard = now_ms();
	receive(t, nth + RECEIVES);
}

static bool may_send(const struct player *t)
{
	return t->completed == t->posted &&
	       t->received == t->posted + !t->serves;
}

static void step(struct player *t, uint64_t total)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(t->e.cq, 1, &wc) > 0) {
		if (wc.status != IBV_WC_SUCCESS)
			errx(1, "completion of %llx: %s",
			     (unsigned long long)wc.wr_id,
			     ibv_wc_status_str(wc.status));
		if (wc.wr_id & RECEIVE_ID)
			take(t, &wc);
		else
			t->completed++;
	}
	if (may_send(t) && t->posted < total)
		send_one(t);
	usleep(100);
}

/* The process runs on in the first hold, until its tasks are frozen. */
static void move(struct player *t, uint64_t total)
{
	uint64_t had = t->received;
	int fd = t->e.ctx->cmd_fd;
	struct image img;
	double until;

	if (sl_hold_with(fd, HOLD_TIMER, HOLD_MS, SEALIFT_RXE_HOLD_RECEIVE_UD))
		errx(1, "HOLD that receives");
	for (until = now_ms() + WINDOW_MS;
	     t->received == had && now_ms() < until;)
		step(t, total);
	t->in_hold += t->received - had;
	if (sl_hold(fd, HOLD_TIMER, HOLD_MS))
		errx(1, "HOLD");
	image_dump(&img, fd, t->e.channel->fd);
	image_destroy(&img, fd);
	usleep(rand() % 20000);
	image_restore(&img, fd, 0);
	image_compare(&img, fd);
	if (sl_resume(fd))
		errx(1, "RESUME");
	image_free(&img);
	t->heard = now_ms();
}

static void open_player(struct player *t, const char *device, int sock)
{
	static const struct ibv_qp_cap cap = { 1, RECEIVES, 1, 1, 0 };
	int i;

	t->memory = aligned_alloc(4096, (RECEIVES + 2) * SLOT);
	if (!t->memory)
		err(1, "aligned_alloc");
	endpoint_open(&t->e, device, IBV_QPT_UD, &cap, t->memory,
		      (RECEIVES + 2) * SLOT, t);
	datagram_ready(&t->e);
	for (i = 0; i < RECEIVES; i++)
		receive(t, i);
	t->ah = datagram_pair_meet(&t->e, sock, &t->peer_qpn);
	t->heard = now_ms();
}

static void play(int sock, char **argv, unsigned int moves, bool serves)
{
	uint64_t total = (2 * moves + 2) * ROUNDS;
	struct player t = { .serves = serves };
	unsigned int moved = 0;
	char c;

	/* the ends move at different times */
	if (!serves)
		srand(rand());
	pair_enter(argv[0]);
	open_player(&t, argv[1], sock);
	while (t.completed < total || t.received < total) {
		step(&t, total);
		if (moved < moves &&
		    t.received >= (2 * moved + 1 + !serves) * ROUNDS) {
			/* with the datagram there, here, or between */
			usleep(rand() % 3000);
			move(&t, total);
			moved++;
		}
		if (now_ms() > t.heard + PATIENCE_MS)
			errx(1, "%s: nothing comes after datagram %llu of %llu and %u moves",
			     argv[1], (unsigned long long)t.received,
			     (unsigned long long)total, moved);
	}
	pair_exchange(sock, "d", &c, 1);
	printf("%s: %llu datagrams each way, %u moves, %llu received in a hold\n",
	       argv[1], (unsigned long long)total, moved,
	       (unsigned long long)t.in_hold);
	if (ibv_destroy_ah(t.ah))
		err(1, "ibv_destroy_ah");
	endpoint_close(&t.e);
}

int main(int argc, char **argv)
{
	return datagram_pair_main(argc, argv, play);
}

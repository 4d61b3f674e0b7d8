// SPDX-License-Identifier: GPL-2.0
/*
 * Two ends send each other datagrams. One of them dumps, destroys and restores
 * itself again and again in the middle of it. Datagrams may be lost, but none
 * may come twice, in another order or torn, every request completes, and those
 * sent after a move arrive.
 *
 * usage: datagrams NETNS DEVICE PEER_NETNS PEER_DEVICE [MOVES [SEED]]
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "datagram_pair.h"
#include "image.h"
#include "pair.h"

#define HOLD_TIMER	14
#define WINDOW		8	/* requests under way */
#define RECEIVES	64
#define MOST		1500	/* bytes of a datagram */
#define SLOT		2048
#define RECEIVE_ID	(1ULL << 63)
#define STEP_MS		100	/* of traffic before a move, at most */
#define ENOUGH		10	/* datagrams that say that traffic goes on */
#define PATIENCE_MS	20000	/* emulated nodes may be slow */
#define LAST_MS		300	/* what is on its way arrives, or is lost */

struct message {
	uint32_t number;	/* of this end's datagrams, from 1 */
	uint32_t size;
	uint8_t content[];
};

struct end {
	struct endpoint e;
	struct ibv_ah *ah;
	uint32_t peer_qpn;
	uint8_t *memory;
	uint64_t posted, completed, receives;
	uint32_t last;		/* number of the newest one received */
	uint64_t received;
};

static uint8_t content(uint32_t number, uint32_t at)
{
	return number * 31 + at + (at >> 8);
}

static void *slot(const struct end *t, uint64_t n)
{
	return t->memory + n * SLOT;
}

static void receive(struct end *t)
{
	datagram_receive(&t->e, slot(t, t->receives % RECEIVES), SLOT,
			 RECEIVE_ID | t->receives);
	t->receives++;
}

static void send_one(struct end *t)
{
	struct message *m = slot(t, RECEIVES + t->posted % WINDOW);
	struct datagram d = {
		.ah = t->ah,
		.qpn = t->peer_qpn,
		.data = m,
		.wr_id = t->posted,
		.immediate = t->posted % 3,
	};
	uint32_t i;

	m->number = ++t->posted;
	m->size = rand() % (t->posted % 5 ? MOST - (int)sizeof(*m) : 50);
	for (i = 0; i < m->size; i++)
		m->content[i] = content(m->number, i);
	d.size = sizeof(*m) + m->size;
	if (d.size <= 64)
		d.flags = IBV_SEND_INLINE;
	datagram_send(&t->e, &d);
}

static void take(struct end *t, const struct ibv_wc *wc)
{
	uint64_t n = wc->wr_id & ~RECEIVE_ID;
	const struct message *m = slot(t, n % RECEIVES) + DATAGRAM_GRH;
	uint32_t i;

	if (n != t->received++)
		errx(1, "request %llu completed as number %llu",
		     (unsigned long long)n, (unsigned long long)t->received);
	if (wc->src_qp != t->peer_qpn ||
	    wc->byte_len != DATAGRAM_GRH + sizeof(*m) + m->size)
		errx(1, "datagram %u: %u bytes of queue pair %#x", m->number,
		     wc->byte_len, wc->src_qp);
	if (m->number <= t->last)
		errx(1, "datagram %u after %u", m->number, t->last);
	for (i = 0; i < m->size; i++)
		if (m->content[i] != content(m->number, i))
			errx(1, "datagram %u is torn at byte %u of %u",
			     m->number, i, m->size);
	t->last = m->number;
	receive(t);
}

static void poll_all(struct end *t)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(t->e.cq, 1, &wc) > 0) {
		if (wc.status != IBV_WC_SUCCESS)
			errx(1, "completion of %llx: %s",
			     (unsigned long long)wc.wr_id,
			     ibv_wc_status_str(wc.status));
		if (wc.wr_id & RECEIVE_ID)
			take(t, &wc);
		else if (wc.wr_id != t->completed++)
			errx(1, "request %llu completed as number %llu",
			     (unsigned long long)wc.wr_id,
			     (unsigned long long)t->completed - 1);
	}
}

static void step(struct end *t, bool sending)
{
	if (sending && t->posted - t->completed < WINDOW)
		send_one(t);
	poll_all(t);
	usleep(200);
}

static void run_for(struct end *t, double ms, bool sending)
{
	double until = now_ms() + ms;

	while (now_ms() < until)
		step(t, sending);
}

static void say(int sock, char c)
{
	if (write(sock, &c, 1) != 1)
		errx(1, "the other end is gone");
}

/* Does the other end say @c by now? */
static bool hears(int sock, char c)
{
	ssize_t n;
	char got;

	n = recv(sock, &got, 1, MSG_DONTWAIT);
	if (!n || (n == 1 && got != c))
		errx(1, "the other end is gone");
	return n == 1;
}

/* Send until both ends have received some more. */
static void goes_on(struct end *t, int sock, unsigned int move)
{
	uint64_t enough = t->received + ENOUGH;
	double until = now_ms() + PATIENCE_MS;
	bool said = false, heard = false;

	while (!said || !heard) {
		if (now_ms() > until)
			errx(1, "nothing goes on after move %u: %llu received of %llu",
			     move, (unsigned long long)t->received,
			     (unsigned long long)enough);
		step(t, true);
		if (!said && t->received >= enough) {
			say(sock, 'k');
			said = true;
		}
		heard = heard || hears(sock, 'k');
	}
}

static void move(struct end *t)
{
	int fd = t->e.ctx->cmd_fd;
	struct image img;

	/* what is posted now is sent after the move */
	if (rand() % 2 && t->posted - t->completed < WINDOW)
		send_one(t);
	if (sl_hold(fd, HOLD_TIMER, 10000))
		errx(1, "HOLD");
	while (t->posted - t->completed < WINDOW && rand() % 4)
		send_one(t);
	image_dump(&img, fd, t->e.channel->fd);
	image_compare(&img, fd);
	image_destroy(&img, fd);
	usleep(rand() % 50000);
	image_restore(&img, fd, 0);
	image_compare(&img, fd);
	if (sl_resume(fd))
		errx(1, "RESUME");
	image_free(&img);
}

static void open_end(struct end *t, const char *device, int sock)
{
	static const struct ibv_qp_cap cap = { WINDOW, RECEIVES, 1, 1, 64 };
	int i;

	memset(t, 0, sizeof(*t));
	t->memory = aligned_alloc(4096, (RECEIVES + WINDOW) * SLOT);
	if (!t->memory)
		err(1, "aligned_alloc");
	endpoint_open(&t->e, device, IBV_QPT_UD, &cap, t->memory,
		      (RECEIVES + WINDOW) * SLOT, t);
	datagram_ready(&t->e);
	for (i = 0; i < RECEIVES; i++)
		receive(t);
	t->ah = datagram_pair_meet(&t->e, sock, &t->peer_qpn);
}

/* Before and after each move traffic goes on. */
static void run_end(int sock, char **argv, unsigned int moves, bool moving)
{
	struct end t;
	uint64_t posted;
	unsigned int n;
	double until;

	pair_enter(argv[0]);
	open_end(&t, argv[1], sock);
	for (n = 0; n <= moves; n++) {
		if (moving && n) {
			run_for(&t, rand() % STEP_MS, true);
			move(&t);
			say(sock, 'm');
		} else if (n) {
			while (!hears(sock, 'm'))
				step(&t, true);
		}
		goes_on(&t, sock, n);
	}
	for (until = now_ms() + PATIENCE_MS;
	     t.completed != t.posted && now_ms() < until;)
		step(&t, false);
	run_for(&t, LAST_MS, false);
	if (t.completed != t.posted)
		errx(1, "%llu requests of %llu completed",
		     (unsigned long long)t.completed,
		     (unsigned long long)t.posted);
	pair_exchange(sock, &t.posted, &posted, sizeof(posted));
	if (t.last > posted || t.received > posted)
		errx(1, "%llu datagrams received of %llu",
		     (unsigned long long)t.received,
		     (unsigned long long)posted);
	printf("%s: %llu of %llu datagrams received, %u moves\n", argv[1],
	       (unsigned long long)t.received, (unsigned long long)posted,
	       moving ? moves : 0);
	if (ibv_destroy_ah(t.ah))
		err(1, "ibv_destroy_ah");
	endpoint_close(&t.e);
}

int main(int argc, char **argv)
{
	return datagram_pair_main(argc, argv, run_end);
}

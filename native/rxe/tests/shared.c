// SPDX-License-Identifier: GPL-2.0
#include "shared.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "image.h"

#define SLOT 4096

void shared_open(struct scripted *s)
{
	setenv("LIVE_SRQ", "1", 1);
	scripted_open(s);
}

/* Post request @id, of one slot of the memory. Return: 0 or errno */
int shared_post(struct scripted *s, struct ibv_srq *srq, uint64_t id)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->mem + id % 16 * SLOT,
		.length = SLOT,
		.lkey = s->end.mr->lkey,
	};
	struct ibv_recv_wr *bad, wr = {
		.wr_id = id, .sg_list = &sge, .num_sge = 1,
	};

	return ibv_post_srq_recv(srq, &wr, &bad);
}

void shared_post_some(struct scripted *s, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (shared_post(s, s->end.srq, from))
			errx(1, "ibv_post_srq_recv");
}

void shared_send(struct scripted *s, const struct ibv_qp *qp, uint8_t opcode,
		    uint32_t nth, uint32_t size)
{
	struct wire_packet p = scripted_request(s, opcode, nth);

	p.qpn = qp->qp_num;
	p.size = size;
	memset(p.payload, 'a' + nth % 26, size);
	wire_send(&s->wire, &p);
}

/* Expect a completion of request @id at @qp. */
void shared_completes(struct scripted *s, const struct ibv_qp *qp, uint64_t id,
		      int status, const char *what)
{
	struct ibv_wc wc = { .status = -1 };
	int tries = 1000, n;

	while (!(n = ibv_poll_cq(s->end.cq, 1, &wc)) && tries--)
		usleep(1000);
	expect(1, n == 1 && wc.wr_id == id && wc.qp_num == qp->qp_num &&
	       (int)wc.status == status,
	       "%s (request %d, status %d)", what, n == 1 ? (int)wc.wr_id : -1,
	       n == 1 ? (int)wc.status : -1);
}

void shared_move_held(struct scripted *s)
{
	struct image img;

	image_dump(&img, s->fd, s->end.channel->fd);
	image_destroy(&img, s->fd);
	image_restore(&img, s->fd, 0);
	image_compare(&img, s->fd);
	image_free(&img);
}

void shared_move(struct scripted *s)
{
	scripted_hold(s);
	shared_move_held(s);
	scripted_resume(s);
}

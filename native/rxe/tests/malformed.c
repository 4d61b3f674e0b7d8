// SPDX-License-Identifier: GPL-2.0
/*
 * Every call that makes no sense, and every image that was altered, gets its
 * error and leaves the kernel unharmed.
 *
 * usage: malformed DEVICE [FUZZ_ROUNDS [SEED]]
 */
#include <err.h>
#include <stdlib.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "expect.h"
#include "malformed.h"
#include "random.h"

/* A connection within the device, stopped with requests under way. */
static void half_way(struct traffic *a, struct traffic *b, const char *device)
{
	traffic_open(a, device, 1, 400);
	traffic_open(b, device, 2, 400);
	traffic_connect(a, &b->local, 2);
	traffic_connect(b, &a->local, 1);
	while (a->completed < 200) {
		traffic_step(a);
		traffic_step(b);
		usleep(100);
	}
	traffic_step(a);
}

/* Hold it when something is on its way: a device that talks to itself is quick. */
static void hold_busy(struct traffic *a, struct traffic *b, struct victim *v)
{
	struct sealift_rxe_qp_buffers bufs;
	static unsigned char sq[1 << 20];
	struct sealift_rxe_qp qp;

	do {
		traffic_step(a);
		if (sl_hold(a->end.ctx->cmd_fd, TIMER, 5000))
			errx(1, "HOLD");
		bufs = (struct sealift_rxe_qp_buffers){
			.sq = sl_buffer(sq, sizeof(sq)),
		};
		if (sl_dump_qp(a->end.ctx->cmd_fd, a->end.qp->handle, &bufs,
			       &qp))
			errx(1, "DUMP_QP");
		if (((struct rxe_queue_buf *)sq)->producer_index !=
		    qp.sq.index && qp.sq.index != qp.req.wqe_index)
			break;
		sl_resume(a->end.ctx->cmd_fd);
		traffic_step(b);
	} while (a->completed < a->total);

	victim_take(v, a->end.ctx->cmd_fd, a->end.qp->handle);
}

static void random_images(const struct traffic *t, struct victim *v,
			  unsigned int rounds)
{
	malformed_fuzz(v, &(struct mutate_memory){
		.address = t->local.va,
		.size = TRAFFIC_BYTES,
		.key = t->local.rkey,
	}, rounds);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 2 ? atoi(argv[2]) : 500;
	struct traffic a, b;
	struct victim v;

	if (argc < 2)
		errx(2, "usage: %s DEVICE [FUZZ_ROUNDS [SEED]]", argv[0]);
	random_seed(argc > 3 ? atoi(argv[3]) : 1);

	half_way(&a, &b, argv[1]);
	malformed_calls(&a);
	hold_busy(&a, &b, &v);
	malformed_cq(&a);
	malformed_image(&v);
	random_images(&a, &v, rounds);
	sl_resume(v.fd);

	/* the same of a queue pair that shares its receive queue */
	setenv("LIVE_SRQ", "1", 1);
	half_way(&a, &b, argv[1]);
	hold_busy(&a, &b, &v);
	malformed_srq(&a, &v, rounds / 4);
	random_images(&a, &v, rounds / 2);
	sl_resume(v.fd);

	unsetenv("LIVE_SRQ");
	malformed_ud(argv[1], rounds / 2);
	setenv("LIVE_SRQ", "1", 1);
	malformed_ud(argv[1], rounds / 4);

	return expect_failed;
}

// SPDX-License-Identifier: GPL-2.0
/* Memory windows, which no image has, but which each process can bind. */
#include <err.h>
#include <pthread.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "ring_map.h"
#include "scripted.h"
#include "send_ring.h"

#define BYTES	4096
#define FLIP_MS	3000

struct windowed {
	struct scripted s;
	struct ibv_mr *mr;
	struct ibv_mw *mw;
};

static void open_window(struct windowed *w, enum ibv_mw_type type)
{
	scripted_open(&w->s);
	w->mr = ibv_reg_mr(w->s.end.pd, w->s.mem, BYTES, IBV_ACCESS_LOCAL_WRITE |
			   IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_MW_BIND);
	w->mw = ibv_alloc_mw(w->s.end.pd, type);
	if (!w->mr || !w->mw)
		err(1, "memory window");
}

static int post(struct windowed *w, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	wr->send_flags = IBV_SEND_SIGNALED;
	if (ibv_post_send(w->s.end.qp, wr, &bad))
		err(1, "ibv_post_send");
	return scripted_completion(&w->s, 2000, NULL);
}

/* Return: status of the completion */
static int bind_window(struct windowed *w, uint64_t address, uint64_t length)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.bind_mw = {
			.mw = w->mw,
			.rkey = ibv_inc_rkey(w->mw->rkey),
			.bind_info = {
				.mr = w->mr,
				.addr = address,
				.length = length,
				.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
			},
		},
	};
	int status = post(w, &wr);

	if (status == IBV_WC_SUCCESS)
		w->mw->rkey = wr.bind_mw.rkey;
	return status;
}

static int invalidate(struct windowed *w)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_LOCAL_INV,
		.invalidate_rkey = w->mw->rkey,
	};

	return post(w, &wr);
}

static void outlives_its_queue_pair(void)
{
	struct windowed w;
	double start;

	open_window(&w, IBV_MW_TYPE_2);
	expect(IBV_WC_SUCCESS, bind_window(&w, (uintptr_t)w.s.mem, BYTES),
	       "a window is bound");
	start = now_ms();
	expect(0, ibv_destroy_qp(w.s.end.qp), "its queue pair is destroyed");
	expect(1, now_ms() - start < 5000, "at once");
	expect(0, ibv_dereg_mr(w.mr), "its region goes");
	expect(0, ibv_dealloc_mw(w.mw), "the window goes");
}

static void invalidated_when_free(void)
{
	struct windowed w;

	open_window(&w, IBV_MW_TYPE_2);
	expect(1, invalidate(&w) > 0,
	       "the invalidation of a window that is not bound fails");
	expect(0, ibv_dealloc_mw(w.mw), "the window goes");
}

static void invalidated_by_another(void)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = 16, .max_recv_wr = 16,
		.max_send_sge = 2, .max_recv_sge = 2,
	};
	struct endpoint_path path = { .qpn = SCRIPTED_QPN + 1, .timeout = 20 };
	struct windowed w;

	open_window(&w, IBV_MW_TYPE_2);
	expect(IBV_WC_SUCCESS, bind_window(&w, (uintptr_t)w.s.mem, BYTES),
	       "a window is bound");
	scripted_peer_gid(&w.s, &path.gid);
	w.s.end.qp = endpoint_create_qp(&w.s.end, &cap);
	endpoint_init(&w.s.end);
	endpoint_connect(&w.s.end, &path);
	expect(1, invalidate(&w) > 0, "another queue pair can't invalidate it");
}

static void beyond_its_region(void)
{
	struct windowed w;

	open_window(&w, IBV_MW_TYPE_2);
	/* the queue pair is in error: all its requests are flushed */
	expect(IBV_WC_WR_FLUSH_ERR,
	       bind_window(&w, (uintptr_t)w.s.mem + 1, -1ULL),
	       "a window whose end wraps around is refused");
}

struct flipper {
	pthread_t thread;
	void *ring;
	int stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	send_ring_flip_window(f->ring, 0, 8, &f->stop);
	return NULL;
}

/* With either length a window of type 1 can be bound. */
static void length_flips(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	unsigned int rounds = 0, bound = 0;
	struct flipper f = { .stop = 0 };
	struct sealift_rxe_qp qp;
	struct windowed w;
	double end;

	open_window(&w, IBV_MW_TYPE_1);
	scripted_hold(&w.s);
	if (sl_dump_qp(w.s.fd, w.s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	f.ring = ring_map(w.s.fd, qp.sq.mmap_offset);
	scripted_resume(&w.s);
	if (pthread_create(&f.thread, NULL, flip, &f))
		errx(1, "pthread_create");
	for (end = now_ms() + FLIP_MS; now_ms() < end; rounds++)
		bound += bind_window(&w, (uintptr_t)w.s.mem, 8) ==
			 IBV_WC_SUCCESS;
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(f.thread, NULL);
	expect(rounds, bound, "each request binds the window");
}

const struct protocol_case protocol_window_cases[] = {
	{ "window that outlives its queue pair", outlives_its_queue_pair },
	{ "free window invalidated", invalidated_when_free },
	{ "window of another queue pair", invalidated_by_another },
	{ "window beyond its region", beyond_its_region },
	{ "length of a window flips", length_flips },
	{ 0 },
};

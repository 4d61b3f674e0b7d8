// SPDX-License-Identifier: GPL-2.0
/*
 * Which numbers new objects get after a move: not those of objects that were
 * destroyed before it, whose packets and keys a peer may still have. And who has
 * made what LIST tells of.
 */
#include <err.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datagram.h"
#include "expect.h"
#include "listed.h"
#include "protocol.h"
#include "scripted.h"

static struct sealift_rxe_context context_of(const struct scripted *s)
{
	struct sealift_rxe_context ctx;

	if (sl_context(s->fd, NULL, 0, &ctx))
		errx(1, "DUMP_CONTEXT");
	return ctx;
}

static uint32_t new_qp(struct scripted *s)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = 1, .max_recv_wr = 1,
		.max_send_sge = 1, .max_recv_sge = 1,
	};
	struct ibv_qp *qp = endpoint_create_qp(&s->end, &cap);
	uint32_t number = qp->qp_num;

	if (ibv_destroy_qp(qp))
		err(1, "ibv_destroy_qp");
	return number;
}

static uint32_t new_mr(struct scripted *s)
{
	struct ibv_mr *mr = ibv_reg_mr(s->end.pd, s->mem, 64, 0);
	uint32_t index;

	if (!mr)
		err(1, "ibv_reg_mr");
	index = mr->rkey >> 8;
	ibv_dereg_mr(mr);
	return index;
}

static uint32_t new_mw(struct scripted *s)
{
	struct ibv_mw *mw = ibv_alloc_mw(s->end.pd, IBV_MW_TYPE_2);
	uint32_t index;

	if (!mw)
		err(1, "ibv_alloc_mw");
	index = mw->rkey >> 8;
	ibv_dealloc_mw(mw);
	return index;
}

static uint32_t new_ah(struct scripted *s)
{
	struct sealift_rxe_ah ah;
	struct ibv_ah *handle;
	union ibv_gid gid;

	scripted_peer_gid(s, &gid);
	handle = datagram_handle(&s->end, &gid);
	scripted_hold(s);
	if (sl_dump_ah(s->fd, handle->handle, &ah))
		errx(1, "DUMP_AH");
	scripted_resume(s);
	ibv_destroy_ah(handle);
	return ah.number;
}

/* A restored object has its number; who comes next has a larger one. */
static void after_a_restored_one(void)
{
	struct sealift_rxe_context ctx;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	struct raw_map sq, rq;
	struct scripted s;
	uint32_t handle, number, wanted;

	scripted_open(&s);
	wanted = new_qp(&s) + 100;
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp) ||
	    sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, wanted + 1) ||
	    sl_hint(s.fd, SEALIFT_RXE_HINT_QPN, wanted) ||
	    raw_create_qp(s.fd, &qp, &handle, &number, &sq, &rq))
		errx(1, "CREATE_QP");
	expect(wanted, number, "a queue pair has the number of its image");
	scripted_resume(&s);
	expect(wanted + 1, new_qp(&s), "the next one has the next");
	raw_destroy(s.fd, UVERBS_OBJECT_QP, handle);
	expect(1, new_qp(&s) > wanted, "and none has the number again soon");
	ctx = context_of(&s);
	expect(wanted + 3, ctx.next_qpn, "the image says which is next");
}

/*
 * A source that has given out its largest numbers goes on with the smallest ones:
 * that its objects have large ones says nothing of what is next.
 */
static void after_going_round(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	uint32_t handle, number, next_qp, next_mr, key;
	struct sealift_rxe_context ctx;
	struct sealift_rxe_query q;
	struct sealift_rxe_qp qp;
	struct raw_map sq, rq;
	struct scripted s;
	struct ibv_mr *mr;

	scripted_open(&s);
	if (sl_query(s.fd, &q) ||
	    sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, q.max_qpn + 1) ||
	    sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_MR, q.max_mr_index + 1))
		errx(1, "HINT");
	next_qp = new_qp(&s) + 1;
	/* the test's own may be among the smallest */
	next_qp += next_qp == s.end.qp->qp_num;
	next_mr = new_mr(&s) + 1;
	expect(1, next_qp < 1000 && next_mr < q.min_mr_index + 1000,
	       "the source has gone round");

	/* in the order of a restore */
	scripted_hold(&s);
	expect(0, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, next_qp),
	       "queue pairs go on behind the smallest");
	expect(0, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_MR, next_mr),
	       "regions go on behind the smallest");
	key = (q.max_mr_index - 5) << 8 | 0x5a;
	if (sl_hint(s.fd, SEALIFT_RXE_HINT_MR, key))
		errx(1, "HINT");
	mr = ibv_reg_mr(s.end.pd, s.mem, 64, 0);
	expect(1, mr && mr->rkey == key, "a region has a large number");
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp) ||
	    sl_hint(s.fd, SEALIFT_RXE_HINT_QPN, q.max_qpn - 5) ||
	    raw_create_qp(s.fd, &qp, &handle, &number, &sq, &rq))
		errx(1, "CREATE_QP");
	expect(q.max_qpn - 5, number, "a queue pair has a large number");
	scripted_resume(&s);

	expect(next_qp, new_qp(&s), "a new queue pair has the next number");
	expect(next_mr, new_mr(&s), "and so has a new region");
	ctx = context_of(&s);
	expect(next_qp + 1, ctx.next_qpn, "queue pairs: the next image says so");
	expect(next_mr + 1, ctx.next_mr, "regions: the next image says so");
}

/* What was destroyed before the move has no number in the image. */
static void after_a_destroyed_one(void)
{
	struct sealift_rxe_context ctx;
	struct sealift_rxe_query q;
	struct scripted s;
	uint32_t number;

	scripted_open(&s);
	if (sl_query(s.fd, &q))
		errx(1, "QUERY");

#define GOES_ON(kind, next, type, make, far) do {			\
	number = make(&s);						\
	ctx = context_of(&s);						\
	expect(number + 1, ctx.next, kind ": the image says what is next"); \
	expect(0, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_##type,		\
			  number + (far)), kind ": a device goes on there"); \
	expect(number + (far), make(&s), kind ": a new one is new");	\
	expect(0, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_##type, number),	\
	       kind ": goes on from less than it has");			\
	expect(number + (far) + 1, make(&s), kind ": and does not go back"); \
} while (0)
	GOES_ON("QP", next_qpn, QPN, new_qp, 500);
	GOES_ON("MR", next_mr, MR, new_mr, 500);
	GOES_ON("MW", next_mw, MW, new_mw, 500);
	GOES_ON("AH", next_ah, AH, new_ah, 500);

	expect(-EINVAL, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, 0),
	       "going on at 0");
	expect(-EINVAL, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, q.max_qpn + 2),
	       "going on beyond the largest");
	/* after the largest comes the smallest that is free */
	expect(0, sl_hint(s.fd, SEALIFT_RXE_HINT_NEXT_QPN, q.max_qpn + 1),
	       "going on after the largest");
	expect(1, new_qp(&s) < 1000, "the numbers begin anew");
}

struct made {
	uint32_t ah, mw;	/* handle, key */
};

/* A child that inherits a context makes objects in it: they are its own. */
static void whose(void)
{
	struct sealift_rxe_context ctx;
	static struct listed l;
	int to_parent[2], go_on[2];
	struct scripted s;
	struct made made;
	union ibv_gid gid;
	pid_t child;
	char byte;

	scripted_open(&s);
	scripted_peer_gid(&s, &gid);
	if (pipe(to_parent) || pipe(go_on))
		err(1, "pipe");
	child = fork();
	if (!child) {
		struct ibv_mw *mw = ibv_alloc_mw(s.end.pd, IBV_MW_TYPE_1);

		made.ah = datagram_handle(&s.end, &gid)->handle;
		made.mw = mw ? mw->rkey : 0;
		if (write(to_parent[1], &made, sizeof(made)) < 0 ||
		    read(go_on[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(to_parent[0], &made, sizeof(made)) != sizeof(made))
		errx(1, "the child");
	ctx = context_of(&s);
	listed_take(&l, s.fd);
	expect(child, listed_find(&l, SEALIFT_RXE_KIND_MW, made.mw)->owner,
	       "a memory window is its maker's");
	expect(child, listed_find_handle(&l, SEALIFT_RXE_KIND_AH, ctx.number,
					 made.ah)->owner,
	       "and so is an address handle");
	if (write(go_on[1], "x", 1) != 1 || waitpid(child, NULL, 0) != child)
		err(1, "the child");
	expect(0, listed_now(s.fd, SEALIFT_RXE_KIND_MW, made.mw).owner,
	       "who has ended is not told");
}

const struct protocol_case protocol_numbers_cases[] = {
	{ "numbers: after a restored one", after_a_restored_one },
	{ "numbers: after a destroyed one", after_a_destroyed_one },
	{ "numbers: after going round", after_going_round },
	{ "numbers: whose", whose },
	{ 0 },
};

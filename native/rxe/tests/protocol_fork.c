// SPDX-License-Identifier: GPL-2.0
/* What a restore needs for processes that share a context since a fork. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "ring_map.h"
#include "scripted.h"

/* Map a queue of @s at any address. Return: NULL if the driver refuses */
static unsigned char *map_again(const struct scripted *s,
				const struct sealift_rxe_ring *ring)
{
	void *at = mmap(NULL, ring->mmap_size, PROT_READ | PROT_WRITE,
			MAP_SHARED, s->fd, ring->mmap_offset);

	return at == MAP_FAILED ? NULL : at;
}

/* Run @fn in a child. Its checks count. */
static void in_child(void (*fn)(struct scripted *s, struct sealift_rxe_qp *qp),
		     struct scripted *s, struct sealift_rxe_qp *qp)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn(s, qp);
		fflush(stdout);
		_exit(expect_failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		expect_failed = 1;
}

/* A child has lost the mapping that it had inherited, as after a restore. */
static void child_maps(struct scripted *s, struct sealift_rxe_qp *qp)
{
	unsigned char *old = ring_map(s->fd, qp->sq.mmap_offset), *at;

	if (munmap(old, qp->sq.mmap_size))
		err(1, "munmap");
	at = map_again(s, &qp->sq);
	expect(1, !!at, "a child maps a send ring again");
	if (at)
		at[qp->sq.size - 1] = 0x5a;
	at = map_again(s, &qp->rq);
	expect(1, !!at, "a receive ring too, beside the one it inherited");
}

static void mapped_again(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp, larger;
	unsigned char *ring;
	struct scripted s;

	scripted_open(&s);
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	ring = ring_map(s.fd, qp.sq.mmap_offset);
	for (int i = 0; i < 3; i++)
		in_child(child_maps, &s, &qp);
	expect(0x5a, ring[qp.sq.size - 1], "both have the same ring");
	larger = qp;
	larger.sq.mmap_size *= 2;
	expect(1, !map_again(&s, &larger.sq), "no more than there is");
	larger = qp;
	larger.sq.mmap_offset += 1UL << 40;
	expect(1, !map_again(&s, &larger.sq), "no queue that there is not");
	scripted_resume(&s);
	expect(1, !map_again(&s, &qp.sq), "nothing without a hold");
	scripted_hold(&s);
	if (ibv_destroy_qp(s.end.qp))
		err(1, "ibv_destroy_qp");
	expect(1, !map_again(&s, &qp.sq), "nothing that is destroyed");
	scripted_resume(&s);
}

static void child_asks(struct scripted *s, struct sealift_rxe_qp *qp)
{
	struct ibv_send_wr *bad, wr = { .opcode = IBV_WR_RDMA_WRITE };

	(void)qp;
	expect(-EACCES, sl_may_write(s->fd, getpid()),
	       "a child may not ring the doorbell");
	expect(0, sl_may_write(s->fd, getppid()), "its parent may");
	expect(1, !!ibv_post_send(s->end.qp, &wr, &bad),
	       "a child cannot post");
}

static void child_adopts(struct scripted *s, struct sealift_rxe_qp *qp)
{
	(void)qp;
	expect(0, sl_adopt_tid(s->fd, getpid()), "a child adopts the file");
	expect(0, sl_may_write(s->fd, getpid()), "then it may");
	expect(-EACCES, sl_may_write(s->fd, getppid()), "and its parent not");
	expect(0, sl_adopt_tid(s->fd, getppid()), "until that has it again");
}

static void may_write(void)
{
	struct sealift_rxe_qp qp = { 0 };
	struct scripted s;

	scripted_open(&s);
	expect(0, sl_may_write(s.fd, getpid()), "who has opened it may write");
	in_child(child_asks, &s, &qp);
	in_child(child_adopts, &s, &qp);
	expect(0, sl_may_write(s.fd, getpid()), "as before");
	expect(-EINVAL, sl_may_write(s.fd, 0), "thread 0");
	expect(-ESRCH, sl_may_write(s.fd, 0x7fffffff), "a thread that is not");
}

const struct protocol_case protocol_fork_cases[] = {
	{ "queue mapped again", mapped_again },
	{ "who may write", may_write },
	{ 0 },
};

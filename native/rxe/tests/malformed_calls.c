// SPDX-License-Identifier: GPL-2.0
/* Calls that make no sense, or that the caller may not make. */
#include <err.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "expect.h"
#include "malformed.h"
#include "method.h"

static void test_device(struct traffic *t)
{
	int fd = t->end.ctx->cmd_fd;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_resume resume = { .flags = 1 };
	struct sealift_rxe_hold hold = { TIMER, 5000, 0, 1 };
	struct sealift_rxe_query query;
	struct sealift_rxe_context ctx;
	struct sealift_rxe_object objs[2];
	struct sealift_rxe_fd found;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_cq cq;
	uint64_t inline_in;

	expect(0, sl_query(fd, &query), "query");
	expect(1, query.abi_version == SEALIFT_RXE_ABI_VERSION && !query.held,
	       "query says version and not held");
	expect(-EINVAL, sl_hold(fd, 32, 100), "hold with timer 32");
	expect(-EINVAL, sl_hold(fd, 0xffffffff, 100), "hold with timer -1");
	expect(-EINVAL, sl_hold(fd, TIMER, 0), "hold without timeout");
	expect(-EINVAL, sl_hold(fd, TIMER, SEALIFT_RXE_MAX_TIMEOUT_MS + 1),
	       "hold with too long a timeout");
	expect(-EINVAL, sl_hold_with(fd, TIMER, 5000, 1 << 2),
	       "hold with an unknown flag");
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_HOLD,
				&(struct sl_attr){ SEALIFT_RXE_ATTR_HOLD_IN,
						   sizeof(hold),
						   (uintptr_t)&hold }, 1),
	       "hold with a reserved field");
	expect(0, sl_query(fd, &query), "query after them");
	expect(0, query.held, "none of them holds");
	memcpy(&inline_in, &resume, sizeof(inline_in));
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_RESUME,
				&(struct sl_attr){ SEALIFT_RXE_ATTR_RESUME_IN,
						   8, inline_in }, 1),
	       "resume with a flag");
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_HOLD,
				&(struct sl_attr){ SEALIFT_RXE_ATTR_HOLD_IN,
						   8, TIMER }, 1),
	       "hold with a short struct");
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_HOLD, NULL, 0),
	       "hold without its struct");
	expect(-EPROTONOSUPPORT, sl_call(fd, SEALIFT_RXE_OBJECT,
					  SEALIFT_RXE_METHOD_RESTORE_NAK + 1,
					  NULL, 0),
	       "unknown method");
	expect(-EPROTONOSUPPORT, sl_call(fd, SEALIFT_RXE_OBJECT,
					  SEALIFT_RXE_METHOD_DUMP_NAKS + 1,
					  NULL, 0),
	       "method beyond the first ones");
	expect(0, sl_resume(fd), "resume of a device that is not held");

	expect(-EBUSY, sl_dump_qp(fd, t->end.qp->handle, &none, &qp),
	       "dump of a QP not held");
	expect(-EBUSY, sl_dump_cq(fd, t->end.cq->handle, NULL, 0, &cq),
	       "dump of a CQ not held");
	expect(0, sl_hold(fd, TIMER, 5000), "hold");
	expect(0, sl_hold(fd, TIMER + 1, 5000), "hold again");
	expect(0, sl_query(fd, &query), "query of a held device");
	expect(1, query.held && query.rnr_timer == TIMER + 1 &&
	       !query.hold_flags,
	       "query says held, and the timer");
	expect(-ENOENT, sl_dump_qp(fd, 1000, &none, &qp), "dump of no QP");
	expect(-EINVAL, sl_dump_qp(fd, t->end.cq->handle, &none, &qp),
	       "dump of a CQ as a QP");
	none.sq.reserved = 1;
	expect(-EINVAL, sl_dump_qp(fd, t->end.qp->handle, &none, &qp),
	       "dump with a reserved field");
	none.sq.reserved = 0;
	none.rq.size = 1;
	expect(-EINVAL, sl_dump_qp(fd, t->end.qp->handle, &none, &qp),
	       "dump with a size without an address");
	none.rq = sl_buffer(&qp, 64);
	expect(-ENOSPC, sl_dump_qp(fd, t->end.qp->handle, &none, &qp),
	       "dump into too small a buffer");
	expect(1, qp.rq.size > 64 && qp.qpn == t->end.qp->qp_num,
	       "the struct is filled all the same");
	none.rq = sl_buffer(BAD_POINTER, 1 << 30);
	expect(-EFAULT, sl_dump_qp(fd, t->end.qp->handle, &none, &qp),
	       "dump to a bad address");
	expect(-ENOSPC, sl_context(fd, objs, 2, &ctx), "list of 2 objects");
	expect(1, ctx.count > 2, "the list says how many");
	expect(0, sl_find_fd(fd, t->end.channel->fd, -1, &found), "find channel");
	expect(0, sl_find_fd(fd, -1, t->end.ctx->async_fd, &found),
	       "find asynchronous events");
	expect(-EBADF, sl_find_fd(fd, t->end.ctx->async_fd, -1, &found),
	       "find channel by another kind of descriptor");
	expect(-EBADF, sl_find_fd(fd, 0, -1, &found), "find channel by stdin");
	expect(0, sl_resume(fd), "resume");
}

/* Registers a region, and says which key it has got; 0: none. */
static uint32_t key_of_new(int fd, const struct sealift_rxe_mr *mr)
{
	uint32_t handle, lkey, rkey;

	if (raw_reg_mr(fd, mr, &handle, &lkey, &rkey))
		return 0;
	raw_destroy(fd, UVERBS_OBJECT_MR, handle);
	return lkey;
}

static void test_keys(int fd, const struct sealift_rxe_query *q,
		      const struct sealift_rxe_mr *mr, uint32_t taken)
{
	uint32_t keys[SEALIFT_RXE_HINT_KEYS_MAX + 1], handle, key, rkey;
	const uint32_t base = 5000;
	unsigned int i, wrong = 0;

	/* those of one that has been destroyed are free again */
	for (i = 0; i < SEALIFT_RXE_HINT_KEYS_MAX + 1; i++)
		keys[i] = (base + i) << 8 | (i & 0xff);

	expect(-EINVAL, sl_hint_keys(fd, keys, sizeof(keys)), "too many keys");
	expect(-EINVAL, sl_hint_keys(fd, keys, 0), "keys of no bytes");
	expect(-EINVAL, sl_hint_keys(fd, keys, 7), "a key and a half");
	key = (q->max_mr_index + 1) << 8;
	expect(-EINVAL, sl_hint_keys(fd, &key, sizeof(key)),
	       "one of the keys is above the range");
	expect(-EEXIST, sl_hint_keys(fd, &taken, sizeof(taken)),
	       "one of the keys is taken");

	expect(0, sl_hint_keys(fd, keys, SEALIFT_RXE_HINT_KEYS_MAX * sizeof(keys[0])),
	       "as many keys as there may be");
	for (i = 0; i < SEALIFT_RXE_HINT_KEYS_MAX; i++)
		wrong += key_of_new(fd, mr) != keys[i];
	expect(0, wrong, "each region has its key, in their order");
	key = key_of_new(fd, mr);
	expect(1, key != 0 && key >> 8 < base, "they are used up");

	expect(0, sl_hint_keys(fd, keys, 2 * sizeof(keys[0])), "two keys");
	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_MR, 4321 << 8 | 9), "and a hint");
	expect(4321 << 8 | 9, key_of_new(fd, mr), "the hint comes first");
	expect((int)keys[0], key_of_new(fd, mr), "then the first key");
	expect(0, sl_hint_keys(fd, keys + 3, sizeof(keys[0])), "another key");
	expect((int)keys[3], key_of_new(fd, mr), "takes the place of what was left");
	expect(0, sl_hint_keys(fd, keys, 2 * sizeof(keys[0])), "two keys again");
	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_NONE, 0), "no hint");
	expect(1, key_of_new(fd, mr) >> 8 < base, "forgets them");

	keys[1] = keys[0];
	expect(0, sl_hint_keys(fd, keys, 2 * sizeof(keys[0])), "a key twice");
	expect(0, raw_reg_mr(fd, mr, &handle, &key, &rkey), "is given once");
	expect(0, key_of_new(fd, mr), "and refused while it is taken");
	raw_destroy(fd, UVERBS_OBJECT_MR, handle);
}

static void test_hints(struct traffic *t)
{
	int fd = t->end.ctx->cmd_fd;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct raw_map sq, rq;
	struct sealift_rxe_query q;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_mr mr;
	uint32_t handle, number, rkey;

	if (sl_query(fd, &q) || sl_hold(fd, TIMER, 5000) ||
	    sl_dump_qp(fd, t->end.qp->handle, &none, &qp) ||
	    sl_dump_mr(fd, t->end.mr->handle, &mr))
		errx(1, "dump");

	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_NEXT_AH + 1, 20),
	       "hint of an unknown type");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_NONE, 1),
	       "no hint, but a value");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_QPN, q.min_qpn - 1),
	       "hint below the range");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_QPN, q.max_qpn + 1),
	       "hint above the range");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_MR,
				(q.max_mr_index + 1) << 8),
	       "key above the range");
	expect(-EEXIST, sl_hint(fd, SEALIFT_RXE_HINT_QPN, t->end.qp->qp_num),
	       "hint that is taken");
	expect(-EEXIST, sl_hint(fd, SEALIFT_RXE_HINT_MR, t->end.mr->lkey),
	       "key that is taken");

	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_QPN, 54321), "hint");
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "create with a hint");
	expect(54321, number, "the number is the hint");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "create again");
	expect(1, number != 54321, "a hint is used up");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);

	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_MR, 4321 << 8 | 7), "key hint");
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "a key hint is no QP's");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);
	expect(0, raw_reg_mr(fd, &mr, &handle, &number, &rkey),
	       "register with a hint");
	expect(1, number == (4321 << 8 | 7) && rkey == number,
	       "the keys are the hint");
	raw_destroy(fd, UVERBS_OBJECT_MR, handle);
	test_keys(fd, &q, &mr, t->end.mr->lkey);
	expect(0, sl_resume(fd), "resume");
}

/* Keep every capability but one. */
static void drop_capability(unsigned int cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		err(1, "capget");
	data[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
	if (syscall(SYS_capset, &head, data))
		err(1, "capset");
}

/* To hand out a thread's credentials is to act as that thread. */
static void test_adopt(struct traffic *t)
{
	int fd = t->end.ctx->cmd_fd, status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		drop_capability(CAP_SYS_PTRACE);
		expect(-EPERM, sl_adopt_tid(fd, 1),
		       "adoption of init's credentials without CAP_SYS_PTRACE");
		expect(0, sl_hold(fd, TIMER, 5000),
		       "the other methods do not need it");
		sl_resume(fd);
		fflush(stdout);
		_exit(expect_failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		expect_failed = 1;
	expect(0, sl_adopt_tid(fd, getpid()), "adoption of one's own");
}

static void test_privilege(struct traffic *t)
{
	int fd = t->end.ctx->cmd_fd, status;
	struct sealift_rxe_query q;
	struct sealift_rxe_nak nak = { 0 };
	struct sealift_rxe_naks naks;
	struct sealift_rxe_list list;
	struct sealift_rxe_mr mr;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			err(1, "setresuid");
		expect(0, sl_query(fd, &q), "query by anyone");
		expect(-EPERM, sl_hold(fd, TIMER, 5000), "hold by anyone");
		expect(-EPERM, sl_resume(fd), "resume by anyone");
		expect(-EPERM, sl_hint(fd, SEALIFT_RXE_HINT_NONE, 0),
		       "hint by anyone");
		expect(-EPERM, sl_dump_mr(fd, t->end.mr->handle, &mr),
		       "dump by anyone");
		expect(-EPERM, sl_list(fd, NULL, 0, &list), "list by anyone");
		expect(-EPERM, sl_dump_naks(fd, NULL, 0, &naks),
		       "NAKs, asked by anyone");
		expect(-EPERM, sl_restore_nak(fd, &nak), "a NAK by anyone");
		expect(-EPERM, sl_adopt_tid(fd, getppid()),
		       "adoption for another by anyone");
		expect(-EPERM, sl_may_write(fd, getppid()),
		       "who may write, asked by anyone");
		fflush(stdout);
		_exit(expect_failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		expect_failed = 1;
}

/* An image's events are raised once, however often it is restored. */
static void restore_events(struct traffic *t, struct sealift_rxe_cq *cq,
			   struct rxe_queue_buf *ring)
{
	int fd = t->end.ctx->cmd_fd;
	struct sealift_rxe_cq now;
	struct raw_map map;
	uint32_t handle;

	/* rings whose indices are 0 look new each time */
	ring->producer_index = 0;
	ring->consumer_index = 0;
	cq->ring.index = 0;
	if (raw_create_cq(fd, cq->cqe, 1, t->end.channel->fd, &handle, &map))
		errx(1, "CREATE_CQ");
	cq->comp_pending = 3;
	cq->comp_reported = 7;
	expect(0, sl_restore_cq(fd, handle, cq, ring, cq->ring.size),
	       "cq with events");
	expect(-EINVAL, sl_restore_cq(fd, handle, cq, ring, cq->ring.size),
	       "cq with events, twice");
	if (sl_dump_cq(fd, handle, NULL, 0, &now))
		errx(1, "DUMP_CQ");
	expect(3, now.comp_pending, "events pending");
	expect(7, now.comp_reported, "events reported");
	raw_destroy(fd, UVERBS_OBJECT_CQ, handle);
}

void malformed_cq(struct traffic *t)
{
	int fd = t->end.ctx->cmd_fd;
	struct sealift_rxe_cq good, cq;
	struct rxe_queue_buf *ring;
	struct raw_map map;
	uint32_t handle;
	void *bytes;

	if (sl_dump_cq(fd, t->end.cq->handle, NULL, 0, &good))
		errx(1, "DUMP_CQ");
	bytes = malloc(good.ring.size);
	ring = bytes;
	if (sl_dump_cq(fd, t->end.cq->handle, bytes, good.ring.size, &good) ||
	    raw_create_cq(fd, good.cqe, 1, -1, &handle, &map))
		errx(1, "CREATE_CQ");
	good.comp_pending = 0;

	cq = good;
	expect(-EINVAL, sl_restore_cq(fd, handle, &cq, bytes, good.ring.size),
	       "cq mapped from where the original is");
	good.ring.mmap_offset = 0;

#define BAD_CQ(change) do {						\
	cq = good;							\
	cq.change;							\
	expect(-EINVAL, sl_restore_cq(fd, handle, &cq, bytes,		\
				      good.ring.size), "cq." #change);	\
} while (0)
	BAD_CQ(ring.index = -1);
	BAD_CQ(ring.index ^= 1);
	BAD_CQ(ring.index_mask = 0);
	BAD_CQ(ring.size -= 1);
	BAD_CQ(ring.log2_elem_size = 0);
	BAD_CQ(ring.reserved = 1);
	BAD_CQ(ring.mmap_offset = 1);
	BAD_CQ(ring.mmap_offset = -4096);
	BAD_CQ(cqe = 1);
	BAD_CQ(notify = 4);
	BAD_CQ(comp_pending = 1);	/* it has no channel */
	BAD_CQ(comp_pending = -1);
	BAD_CQ(comp_pending = SEALIFT_RXE_MAX_EVENTS + 1);
	BAD_CQ(async_pending = 2);
	BAD_CQ(reserved = 1);
	expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
				      good.ring.size - 1), "cq short ring");
	expect(-EFAULT, sl_restore_cq(fd, handle, &good, BAD_POINTER,
				      good.ring.size), "cq bad address");
	ring->consumer_index = good.ring.index_mask + 1;
	expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
				      good.ring.size), "cq consumer");
	ring->consumer_index = good.ring.index;
	expect(0, sl_restore_cq(fd, handle, &good, bytes, good.ring.size),
	       "cq restore");
	if (good.ring.index)
		expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
					      good.ring.size),
		       "cq restore twice");
	raw_destroy(fd, UVERBS_OBJECT_CQ, handle);
	restore_events(t, &good, bytes);
	free(bytes);
}


void malformed_calls(struct traffic *t)
{
	test_device(t);
	test_hints(t);
	test_privilege(t);
	test_adopt(t);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Which number the next queue pair, memory region or address handle of a context
 * gets, and which ones a device has given out before.
 */
#include <rdma/uverbs_ioctl.h>

#include "rxe.h"
#include "sealift_rxe.h"

static int rxe_hint_check(struct rxe_pool *pool, u32 index)
{
	struct rxe_pool_elem *elem;

	if (index < pool->limit.min || index > pool->limit.max)
		return -EINVAL;

	/* an early error for the caller: the create checks again */
	rcu_read_lock();
	elem = xa_load(&pool->xa, index);
	rcu_read_unlock();

	return elem ? -EEXIST : 0;
}

/*
 * Numbers are given out in turns: one that an object has had is new for long.
 * That goes on from device to device.
 */
static int rxe_hint_next(struct rxe_pool *pool, u32 value)
{
	if (value < pool->limit.min || value > pool->limit.max + 1)
		return -EINVAL;

	xa_lock(&pool->xa);
	pool->next = max(pool->next, value);
	xa_unlock(&pool->xa);

	return 0;
}

static u32 rxe_next_number(struct rxe_pool *pool)
{
	return max(READ_ONCE(pool->next), pool->limit.min);
}

void rxe_next_numbers(struct rxe_dev *rxe, struct sealift_rxe_context *out)
{
	out->next_qpn = rxe_next_number(&rxe->qp_pool);
	out->next_mr = rxe_next_number(&rxe->mr_pool);
	out->next_mw = rxe_next_number(&rxe->mw_pool);
	out->next_ah = rxe_next_number(&rxe->ah_pool);
}

int rxe_hint_set(struct rxe_ucontext *uc, u32 type, u32 value)
{
	struct rxe_dev *rxe = to_rdev(uc->ibuc.device);
	int err;

	switch (type) {
	case SEALIFT_RXE_HINT_NONE:
		err = value ? -EINVAL : 0;
		break;
	case SEALIFT_RXE_HINT_QPN:
		err = rxe_hint_check(&rxe->qp_pool, value);
		break;
	case SEALIFT_RXE_HINT_MR:
		err = rxe_hint_check(&rxe->mr_pool, value >> 8);
		break;
	case SEALIFT_RXE_HINT_AH:
		err = rxe_hint_check(&rxe->ah_pool, value);
		break;
	case SEALIFT_RXE_HINT_NEXT_QPN:
		return rxe_hint_next(&rxe->qp_pool, value);
	case SEALIFT_RXE_HINT_NEXT_MR:
		return rxe_hint_next(&rxe->mr_pool, value);
	case SEALIFT_RXE_HINT_NEXT_MW:
		return rxe_hint_next(&rxe->mw_pool, value);
	case SEALIFT_RXE_HINT_NEXT_AH:
		return rxe_hint_next(&rxe->ah_pool, value);
	default:
		err = -EINVAL;
	}
	if (err)
		return err;

	atomic64_set(&uc->hint.next, (u64)type << 32 | value);
	return 0;
}

/*
 * Whoever registers meanwhile takes an earlier key, a later one or none: it is
 * for the caller to register when it has set them.
 */
int rxe_hint_set_keys(struct rxe_ucontext *uc, const u32 *keys, u32 count)
{
	struct rxe_dev *rxe = to_rdev(uc->ibuc.device);
	struct rxe_hint *hint = &uc->hint;
	int err;
	u32 i;

	if (count > SEALIFT_RXE_HINT_KEYS_MAX)
		return -EINVAL;

	for (i = 0; i < count; i++) {
		err = rxe_hint_check(&rxe->mr_pool, keys[i] >> 8);
		if (err)
			return err;
	}

	atomic_set(&hint->keys_left, 0);
	for (i = 0; i < count; i++)
		WRITE_ONCE(hint->keys[i], keys[i]);
	WRITE_ONCE(hint->keys_count, count);
	/* pairs with the decrement: whoever sees how many are left sees the keys */
	atomic_set_release(&hint->keys_left, count);

	return 0;
}

static u32 rxe_hint_take_next_key(struct ib_udata *udata)
{
	struct rxe_ucontext *uc =
		rdma_udata_to_drv_context(udata, struct rxe_ucontext, ibuc);
	u32 at;
	int left;

	if (!uc)
		return 0;

	left = atomic_dec_if_positive(&uc->hint.keys_left);
	if (left < 0)
		return 0;

	at = READ_ONCE(uc->hint.keys_count) - 1 - left;
	if (at >= SEALIFT_RXE_HINT_KEYS_MAX)
		return 0;

	return READ_ONCE(uc->hint.keys[at]);
}

static u32 rxe_hint_take(struct ib_udata *udata, u32 type)
{
	struct rxe_ucontext *uc =
		rdma_udata_to_drv_context(udata, struct rxe_ucontext, ibuc);
	u64 next;

	if (!uc)
		return 0;

	next = atomic64_read(&uc->hint.next);
	if (upper_32_bits(next) != type)
		return 0;

	if (atomic64_cmpxchg(&uc->hint.next, next, 0) != next)
		return 0;

	return lower_32_bits(next);
}

u32 rxe_hint_take_qpn(struct ib_udata *udata)
{
	return rxe_hint_take(udata, SEALIFT_RXE_HINT_QPN);
}

u32 rxe_hint_take_key(struct ib_udata *udata)
{
	return rxe_hint_take(udata, SEALIFT_RXE_HINT_MR) ?:
	       rxe_hint_take_next_key(udata);
}

u32 rxe_hint_take_ah(struct ib_udata *udata)
{
	return rxe_hint_take(udata, SEALIFT_RXE_HINT_AH);
}

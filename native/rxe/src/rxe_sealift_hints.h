/* SPDX-License-Identifier: GPL-2.0 */
/* A context's hint: the number of the next object that it creates. */
#ifndef RXE_SEALIFT_HINTS_H
#define RXE_SEALIFT_HINTS_H

#include <linux/atomic.h>
#include <linux/types.h>

#include "sealift_rxe.h"

struct ib_udata;
struct rxe_dev;
struct rxe_ucontext;
struct sealift_rxe_context;

/* Part of struct rxe_ucontext. */
struct rxe_hint {
	atomic64_t	next;	/* type in the upper, value in the lower half */
	atomic_t	keys_left;
	u32		keys_count;
	u32		keys[SEALIFT_RXE_HINT_KEYS_MAX];
};

/*
 * rxe_hint_set - say which number the next create of a context gets, or with
 * NEXT_* below which one no new object of the device gets one
 * @type: enum sealift_rxe_hint_type
 *
 * Return: 0; -EINVAL out of range; -EEXIST taken
 */
int rxe_hint_set(struct rxe_ucontext *uc, u32 type, u32 value);

/*
 * rxe_hint_set_keys - say which keys the next regions of a context get
 * @count: of @keys, SEALIFT_RXE_HINT_KEYS_MAX at most; 0 forgets those that are left
 *
 * Return: 0; -EINVAL out of range; -EEXIST taken
 */
int rxe_hint_set_keys(struct rxe_ucontext *uc, const u32 *keys, u32 count);

/* Where a device goes on giving out numbers. */
void rxe_next_numbers(struct rxe_dev *rxe, struct sealift_rxe_context *out);

/* Take the hint of the creating context: the number, or 0 for any. */
u32 rxe_hint_take_qpn(struct ib_udata *udata);
u32 rxe_hint_take_key(struct ib_udata *udata);
u32 rxe_hint_take_ah(struct ib_udata *udata);

#endif /* RXE_SEALIFT_HINTS_H */

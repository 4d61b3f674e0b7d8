/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* The method that gives new objects the numbers of dumped ones. Included by sealift_rxe.h. */
#ifndef SEALIFT_RXE_NUMBERS_H
#define SEALIFT_RXE_NUMBERS_H

#include <linux/types.h>

/*
 * HINT: the next CREATE_QP, REG_MR or CREATE_AH of this context gets this number. The
 * create fails with -EEXIST, never with another number, if it is taken by then.
 * -EEXIST: taken now. NONE forgets a hint, and KEYS.
 * KEYS, with NONE: the next REG_MRs of this context get these lkeys, each one, in
 * this order, after the one of a hint. They take the place of earlier ones.
 * NEXT_*: the device gives no new object a smaller number, as long as there are
 * larger ones: peers may still know an object that had it. An object with a given
 * number says nothing of what is next: the source may have gone round.
 */
enum sealift_rxe_hint_attrs {
	SEALIFT_RXE_ATTR_HINT_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_hint */
	SEALIFT_RXE_ATTR_HINT_KEYS,	/* IN __u32[], optional */
};

#define SEALIFT_RXE_HINT_KEYS_MAX	256

enum sealift_rxe_hint_type {
	SEALIFT_RXE_HINT_NONE,
	SEALIFT_RXE_HINT_QPN,	/* value: queue pair number */
	SEALIFT_RXE_HINT_MR,	/* value: lkey (= rkey) */
	SEALIFT_RXE_HINT_AH,	/* value: number of an address handle */
	SEALIFT_RXE_HINT_NEXT_QPN, /* value: as in sealift_rxe_context, and below */
	SEALIFT_RXE_HINT_NEXT_MR,
	SEALIFT_RXE_HINT_NEXT_MW,
	SEALIFT_RXE_HINT_NEXT_AH,
};

struct sealift_rxe_hint {
	__u32 type;		/* enum sealift_rxe_hint_type */
	__u32 value;		/* 0 with NONE */
};

#endif /* SEALIFT_RXE_NUMBERS_H */

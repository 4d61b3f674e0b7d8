/* SPDX-License-Identifier: GPL-2.0 */
/* The rows of the matrix: situations in which an end moves. */
#ifndef MATRIX_H
#define MATRIX_H

#include "match.h"

#define EXECUTED_MS	100	/* in which the responder has done what it was asked to */
#define EVENT_MS	15000

enum matrix_needs {
	MATRIX_MESSAGE = 1 << 0,	/* an operation that takes a receive request */
	MATRIX_INLINE = 1 << 1,		/* one that may carry its data in the request */
	MATRIX_RC = 1 << 2,		/* a connection */
	MATRIX_NO_RECEIVES = 1 << 3,	/* nobody has posted receive requests */
	MATRIX_SRQ = 1 << 4,		/* a shared receive queue */
	MATRIX_EXTENDED = 1 << 5,	/* the extended interfaces */
	MATRIX_ANY = 1 << 6,		/* worth it with either interface */
};

struct matrix_situation {
	const char *name;
	enum ibv_qp_state state;	/* of both ends before run() */
	unsigned int needs;		/* enum matrix_needs */
	/* Bring about the situation, move, and go on. */
	void (*run)(struct match *m, struct match_op op);
};

extern const struct matrix_situation matrix_situations[];
extern const unsigned int matrix_num_situations;

/* matrix_shared.c */
void matrix_limit_armed(struct match *m, struct match_op op);
void matrix_limit_reached(struct match *m, struct match_op op);
void matrix_srq_resized(struct match *m, struct match_op op);

#endif /* MATRIX_H */

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MALFORMED_H
#define MALFORMED_H

#include "traffic.h"
#include "victim.h"

#define TIMER	14
#define RTS	3
#define BAD_POINTER ((void *)8)

/* The device is not held, and is not afterwards. */
void malformed_calls(struct traffic *t);
/* The device is held. */
void malformed_cq(struct traffic *t);
void malformed_image(struct victim *v);
/*
 * Of the shared receive queue of @t: altered field by field, then @rounds times
 * at random.
 */
void malformed_srq(struct traffic *t, const struct victim *sharer,
		   unsigned int rounds);
/* Alter what a queue pair's image says of a shared receive queue. */
void malformed_share(struct victim *v);
/* @rounds images with a few altered bytes or fields */
void malformed_fuzz(struct victim *v, unsigned int rounds);

#endif /* MALFORMED_H */

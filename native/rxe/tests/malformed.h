/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of the test `malformed`. */
#ifndef MALFORMED_H
#define MALFORMED_H

#include "mutate.h"
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
/* Opens a context of its own; not held afterwards. */
void malformed_ud(const char *device, unsigned int rounds);
/* @rounds images with random changes; @mem is a region of the queue pair's */
void malformed_fuzz(struct victim *v, const struct mutate_memory *mem,
		    unsigned int rounds);

#endif /* MALFORMED_H */

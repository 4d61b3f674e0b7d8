/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random changes to an image. Some change all fields of a kind so that they
 * agree, and are mostly accepted; others break one rule, or one byte.
 */
#ifndef MUTATE_H
#define MUTATE_H

#include "mutate_memory.h"
#include "victim.h"

/* Change what it says of a shared receive queue. */
void mutate_share(struct victim *v);
/* The same of a UD queue pair's image. */
void mutate_datagrams(struct victim *v, const struct mutate_memory *mem);
/* What images of both kinds have in common. */
void mutate_limit(struct victim *v);
void mutate_bytes(struct victim *v);
/* Change the image once or several times (random.h). */
void mutate(struct victim *v, const struct mutate_memory *mem);

#endif /* MUTATE_H */

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that follow from a seed, the same everywhere. */
#ifndef RANDOM_DICE_H
#define RANDOM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

/* 0..@below-1; 0 for a @below of 0. */
uint32_t dice_any(struct dice *d, uint32_t below);
/* @from..@to, both included. */
uint32_t dice_between(struct dice *d, uint32_t from, uint32_t to);
/* True once in @times. */
bool dice_once_in(struct dice *d, uint32_t times);
/* A number that depends on each of the three, and on nothing else. */
uint64_t dice_mix(uint64_t a, uint64_t b, uint64_t c);

#endif

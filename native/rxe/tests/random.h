/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers that a seed repeats. Of the process, not of a thread. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

void random_seed(uint64_t seed);
/* 0 .. @below - 1; 0 of 0 */
uint32_t any(uint32_t below);
/* A number at some limit. */
uint64_t interesting(void);

#endif /* RANDOM_H */

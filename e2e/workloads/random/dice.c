// SPDX-License-Identifier: Apache-2.0
#include "dice.h"

/* The output function of splitmix64. */
static uint64_t scramble(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t dice_any(struct dice *d, uint32_t below)
{
	d->state += 0x9e3779b97f4a7c15u;
	return below ? (uint32_t)(scramble(d->state) % below) : 0;
}

uint32_t dice_between(struct dice *d, uint32_t from, uint32_t to)
{
	return from + dice_any(d, to - from + 1);
}

bool dice_once_in(struct dice *d, uint32_t times)
{
	return !dice_any(d, times);
}

uint64_t dice_mix(uint64_t a, uint64_t b, uint64_t c)
{
	return scramble(scramble(scramble(a + 0x9e3779b97f4a7c15u) + b) + c);
}

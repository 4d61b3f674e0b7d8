// SPDX-License-Identifier: GPL-2.0
#include "random.h"

#include "expect.h"

static uint64_t state;

void random_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t any(uint32_t below)
{
	return below ? next() % below : 0;
}

uint64_t interesting(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffffff,
		0x1000000, 0x7fffffff, 0x80000000, 0xffffffff,
		0xffff888000000000, 0x7fffffffffff, ~0ULL,
	};

	return any(8) ? values[any(ARRAY_SIZE(values))] : next();
}

// SPDX-License-Identifier: GPL-2.0
#include <stdbool.h>
#include <string.h>

#include "dump_descriptors.h"
#include "image.h"

/* fs.nr_open is that if nobody has raised it. */
#define MOST IMAGE_MAX_FD
/* CRIU opens what it needs itself as low as it can. */
#define LOWEST 4096U
#define BITS 8U

static uint8_t seen[MOST / BITS];
static uint32_t highest;

void dump_descriptors_forget(void)
{
	memset(seen, 0, sizeof(seen));
	highest = 0;
}

void dump_descriptor_seen(int fd)
{
	if (fd < 0 || (uint32_t)fd >= MOST)
		return;
	seen[fd / BITS] |= 1U << fd % BITS;
	if ((uint32_t)fd > highest)
		highest = fd;
}

static bool is_seen(uint32_t fd)
{
	return seen[fd / BITS] & 1U << fd % BITS;
}

uint32_t dump_descriptors_room(uint32_t count)
{
	uint32_t run = 0;

	for (uint32_t fd = highest; fd > LOWEST && count; fd--) {
		run = is_seen(fd) ? 0 : run + 1;
		if (run == count)
			return fd;
	}
	return 0;
}

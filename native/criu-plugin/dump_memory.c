// SPDX-License-Identifier: GPL-2.0
/*
 * A region is registered again over what is mapped at its addresses. What the
 * process has unmapped or protected since lives on in the device only, and
 * would be found missing when the other node has begun to restore.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dump_memory.h"
#include "log.h"
#include "tasks.h"

/* IBV_ACCESS_LOCAL_WRITE, REMOTE_WRITE, REMOTE_ATOMIC, MW_BIND: for these the kernel wants to write. */
#define ACCESS_WRITES 0x1b

struct spans {
	struct {
		uint64_t start, end;
		uint32_t protection;
	} *items;
	size_t count;
};

static int collect(pid_t pid, const struct task_map *map, void *arg)
{
	struct spans *spans = arg;
	void *grown = realloc(spans->items, (spans->count + 1) * sizeof(*spans->items));

	(void)pid;
	if (!grown)
		return -ENOMEM;
	spans->items = grown;
	spans->items[spans->count].start = map->start;
	spans->items[spans->count].end = map->end;
	spans->items[spans->count++].protection = map->protection;
	return 0;
}

/* The first span that ends behind @at; the number of spans if none does. Spans are in order. */
static size_t span_behind(const struct spans *spans, uint64_t at)
{
	size_t low = 0, high = spans->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (spans->items[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first address of [@at, @end) that cannot be registered, or @end. */
static uint64_t first_gap(const struct spans *spans, uint64_t at, uint64_t end, uint32_t needed)
{
	for (size_t i = span_behind(spans, at); i < spans->count && at < end; i++) {
		if (spans->items[i].start > at ||
		    (spans->items[i].protection & needed) != needed)
			return at;
		at = spans->items[i].end;
	}
	return at < end ? at : end;
}

int dump_memory_is_whole(int dir, const PB(Context) *context)
{
	struct stat st;

	if (fstatat(dir, "parent", &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	for (size_t i = 0; i < context->n_mrs; i++) {
		if (!(context->mrs[i]->access & ACCESS_WRITES))
			continue;
		log_fail("unsupported",
			 "the device can write to memory region %#x, and the dump is to hold only the pages written since an earlier one, of which the device's are not known; dump without a parent",
			 context->mrs[i]->lkey);
		return -EOPNOTSUPP;
	}
	return 0;
}

static bool has_region(const PB(Context) *context, uint32_t inner)
{
	for (size_t i = 0; i < context->n_mrs; i++)
		if (image_region_owner(context, context->mrs[i]) == inner)
			return true;
	return false;
}

int dump_memory_check(const PB(Context) *context, uint32_t inner, pid_t pid)
{
	struct spans spans = {};
	int ret;

	if (!has_region(context, inner))
		return 0;
	ret = task_each_map(pid, collect, &spans);
	for (size_t i = 0; i < context->n_mrs && !ret; i++) {
		const PB(MemoryRegion) *mr = context->mrs[i];
		uint32_t needed = mr->access & ACCESS_WRITES ? PROT_READ | PROT_WRITE : PROT_READ;
		uint64_t end = mr->start + mr->length;
		uint64_t gap;

		if (image_region_owner(context, mr) != inner)
			continue;
		gap = first_gap(&spans, mr->start, end, needed);
		if (gap >= end)
			continue;
		log_fail("unsupported",
			 "memory region %#x is over %#llx, where process %u has no memory of that kind any more; deregister it first",
			 mr->lkey, (unsigned long long)gap, inner);
		ret = -EOPNOTSUPP;
	}
	if (ret && ret != -EOPNOTSUPP)
		log_fail("kernel", "the memory of process %u cannot be looked at: %s", inner,
			 strerror(-ret));
	free(spans.items);
	return ret;
}

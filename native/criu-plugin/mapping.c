// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping the queues. CRIU has put a stand-in where each was: it can use one
 * descriptor only for all mappings of a path, but each context has its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "batch.h"
#include "fault.h"
#include "late_task.h"
#include "lend.h"
#include "log.h"
#include "tasks.h"

/* Where a queue's mapping begins in the context's file. */
struct offset {
	uint32_t ring, handle;
	uint64_t at;
};

struct offsets {
	struct offset *items;
	size_t count;
};

static int compare_offsets(const void *a, const void *b)
{
	const struct offset *one = a, *two = b;

	if (one->handle != two->handle)
		return one->handle < two->handle ? -1 : 1;
	return (one->ring > two->ring) - (one->ring < two->ring);
}

static void add(struct offsets *offsets, uint32_t ring, uint32_t handle, uint64_t at)
{
	offsets->items[offsets->count++] = (struct offset){ ring, handle, at };
}

static int list_offsets(const struct restored *restored, struct offsets *offsets)
{
	const PB(Context) *context = restored->context;
	const struct built *built = restored->built;

	*offsets = (struct offsets){};
	offsets->items = calloc(context->n_cqs + context->n_srqs + 2 * context->n_qps + 1,
				sizeof(*offsets->items));
	if (!offsets->items)
		return -ENOMEM;
	for (size_t i = 0; i < context->n_cqs; i++)
		add(offsets, SEALIFT__IBVERBS__RING__CQ, context->cqs[i]->handle,
		    built->cq_offset[i]);
	for (size_t i = 0; i < context->n_srqs; i++)
		add(offsets, SEALIFT__IBVERBS__RING__SRQ, context->srqs[i]->handle,
		    built->srq_offset[i]);
	for (size_t i = 0; i < context->n_qps; i++) {
		add(offsets, SEALIFT__IBVERBS__RING__SQ, context->qps[i]->handle,
		    built->qp_offset[i][0]);
		add(offsets, SEALIFT__IBVERBS__RING__RQ, context->qps[i]->handle,
		    built->qp_offset[i][1]);
	}
	qsort(offsets->items, offsets->count, sizeof(*offsets->items), compare_offsets);
	return 0;
}

static int offset_of(const struct offsets *offsets, const PB(Mapping) *mapping, uint64_t *offset)
{
	struct offset wanted = { mapping->ring, mapping->handle, 0 };
	struct offset *found = bsearch(&wanted, offsets->items, offsets->count,
				       sizeof(*offsets->items), compare_offsets);

	if (!found)
		return -ENOENT;
	*offset = found->at;
	return 0;
}

/* The kernel lists mappings in order of their addresses. */
static int add_place(pid_t pid, const struct task_map *map, void *arg)
{
	struct places *places = arg;

	(void)pid;
	if (strncmp(map->path, PLACEHOLDER_LINK, strlen(PLACEHOLDER_LINK)))
		return 0;
	if (places->count == places->room) {
		size_t room = places->room ? 2 * places->room : 64;
		void *grown = realloc(places->items, room * sizeof(*places->items));

		if (!grown)
			return -ENOMEM;
		places->items = grown;
		places->room = room;
	}
	places->items[places->count++] = (struct place){ map->start, map->end - map->start };
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct place *one = a, *two = b;

	return (one->start > two->start) - (one->start < two->start);
}

/* Nothing but the stand-in may be overwritten, whatever an image says, and only once. */
static int take_place(struct late_task *task, const PB(Mapping) *mapping)
{
	struct place wanted = { .start = mapping->address }, *found = NULL;

	if (task->places.count)
		found = bsearch(&wanted, task->places.items, task->places.count,
				sizeof(wanted), compare_places);
	if (found && found->length == mapping->length) {
		found->length = 0;
		return 0;
	}
	log_fail("image-damaged", "process %d has no place for a queue at %#llx", task->pid,
		 (unsigned long long)mapping->address);
	return -EINVAL;
}

void mapping_forget_places(struct late_task *task)
{
	free(task->places.items);
	task->places = (struct places){};
}

static bool is_of(const PB(Mapping) *mapping, const struct late_task *task)
{
	return mapping->pid == task->inner;
}

/* The calls that map the task's queues, in the order of the image. Returns how many, or -errno. */
static int64_t list_calls(struct late_task *task, const struct restored *restored, int fd,
			  const struct offsets *offsets, struct batch_call *calls)
{
	const PB(Context) *context = restored->context;
	int64_t count = 0;

	for (size_t i = 0; i < context->n_mappings; i++) {
		const PB(Mapping) *mapping = context->mappings[i];
		uint64_t offset;
		int ret;

		if (!is_of(mapping, task))
			continue;
		ret = offset_of(offsets, mapping, &offset);
		if (!ret)
			ret = take_place(task, mapping);
		if (ret)
			return ret;
		calls[count++] = (struct batch_call){ SYS_mmap, { mapping->address, mapping->length,
			mapping->protection, MAP_SHARED | MAP_FIXED, fd, offset } };
	}
	return count;
}

/* Each call returns where it has mapped. */
static int check_calls(struct late_task *task, const struct restored *restored,
		       const struct batch_call *calls)
{
	const PB(Context) *context = restored->context;

	for (size_t i = 0; i < context->n_mappings; i++) {
		const PB(Mapping) *mapping = context->mappings[i];

		if (!is_of(mapping, task))
			continue;
		if (calls->number != (int64_t)mapping->address) {
			log_fail("kernel", "a queue of handle %u cannot be mapped: %s", mapping->handle,
				 strerror(-calls->number));
			return calls->number < 0 ? calls->number : -EFAULT;
		}
		calls++;
	}
	return 0;
}

static int map_all(struct late_task *task, const struct restored *restored, int fd,
		   const struct offsets *offsets)
{
	struct batch_call *calls = calloc(restored->context->n_mappings + 1, sizeof(*calls));
	int64_t ret;

	if (!calls)
		return -ENOMEM;
	ret = list_calls(task, restored, fd, offsets, calls);
	if (ret > 0)
		ret = batch_run(&task->inject, calls, ret);
	if (!ret)
		ret = check_calls(task, restored, calls);
	free(calls);
	return ret;
}

static int map_with(struct late_task *task, const struct restored *restored, int fd,
		    const struct offsets *offsets)
{
	int theirs = late_context_fd(restored->context, task->inner), lent = -1;
	int64_t ret, end;

	if (theirs < 0) {
		theirs = lent = lend_descriptor(&task->inject, fd);
		if (lent < 0) {
			log_fail("kernel", "process %d cannot have the context to map its queues: %s",
				 task->pid, strerror(-lent));
			return lent;
		}
	}
	ret = map_all(task, restored, theirs, offsets);
	end = lent < 0 ? 0 : inject_syscall(&task->inject, SYS_close, lent, 0, 0, 0, 0, 0);
	return ret ? ret : end;
}

int mapping_restore(struct late_task *task, const struct restored *restored, int fd)
{
	struct offsets offsets;
	int ret = 0;

	/* A task of many contexts has all their stand-ins. */
	if (!task->places.items)
		ret = task_each_map(task->pid, add_place, &task->places);
	if (ret)
		return ret;
	ret = list_offsets(restored, &offsets);
	if (!ret)
		ret = map_with(task, restored, fd, &offsets);
	free(offsets.items);
	return ret;
}

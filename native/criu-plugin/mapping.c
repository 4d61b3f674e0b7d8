// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping the queues. CRIU has put a stand-in where each was: it can use one
 * descriptor only for all mappings of a path, but each context has its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fault.h"
#include "late_task.h"
#include "lend.h"
#include "log.h"
#include "tasks.h"

static int offset_of(const struct restored *restored, const PB(Mapping) *mapping,
		     uint64_t *offset)
{
	const PB(Context) *context = restored->context;

	if (mapping->ring == SEALIFT__IBVERBS__RING__CQ) {
		for (size_t i = 0; i < context->n_cqs; i++) {
			if (context->cqs[i]->handle != mapping->handle)
				continue;
			*offset = restored->built->cq_offset[i];
			return 0;
		}
	}
	if (mapping->ring == SEALIFT__IBVERBS__RING__SRQ) {
		for (size_t i = 0; i < context->n_srqs; i++) {
			if (context->srqs[i]->handle != mapping->handle)
				continue;
			*offset = restored->built->srq_offset[i];
			return 0;
		}
		return -ENOENT;
	}
	for (size_t i = 0; i < context->n_qps; i++) {
		if (context->qps[i]->handle != mapping->handle)
			continue;
		*offset = restored->built->qp_offset[i]
			  [mapping->ring == SEALIFT__IBVERBS__RING__RQ];
		return 0;
	}
	return -ENOENT;
}

struct place {
	const PB(Mapping) *mapping;
	bool found;
};

static int look_at_map(pid_t pid, const struct task_map *map, void *arg)
{
	struct place *place = arg;

	(void)pid;
	if (map->start != place->mapping->address)
		return 0;
	place->found = map->end - map->start == place->mapping->length &&
		       !strncmp(map->path, PLACEHOLDER_LINK, strlen(PLACEHOLDER_LINK));
	return 0;
}

/* Nothing but the stand-in may be overwritten, whatever an image says. */
static int check_place(pid_t pid, const PB(Mapping) *mapping)
{
	struct place place = { .mapping = mapping };
	int ret = task_each_map(pid, look_at_map, &place);

	if (ret || place.found)
		return ret;
	log_fail("image-damaged", "process %d has no place for a queue at %#llx", pid,
		 (unsigned long long)mapping->address);
	return -EINVAL;
}

static int map_all(struct late_task *task, const struct restored *restored, int fd)
{
	const PB(Context) *context = restored->context;

	for (size_t i = 0; i < context->n_mappings; i++) {
		const PB(Mapping) *mapping = context->mappings[i];
		uint64_t offset;
		int64_t ret;

		if (mapping->pid != task->inner)
			continue;
		ret = offset_of(restored, mapping, &offset);
		if (!ret)
			ret = check_place(task->pid, mapping);
		if (ret)
			return ret;
		ret = inject_syscall(&task->inject, SYS_mmap, mapping->address, mapping->length,
				     mapping->protection, MAP_SHARED | MAP_FIXED, fd, offset);
		if (ret != (int64_t)mapping->address) {
			log_fail("kernel", "a queue of handle %u cannot be mapped: %s",
				 mapping->handle, strerror(-ret));
			return ret < 0 ? ret : -EFAULT;
		}
	}
	return 0;
}

int mapping_restore(struct late_task *task, const struct restored *restored, int fd)
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
	ret = map_all(task, restored, theirs);
	end = lent < 0 ? 0 : inject_syscall(&task->inject, SYS_close, lent, 0, 0, 0, 0, 0);
	return ret ? ret : end;
}

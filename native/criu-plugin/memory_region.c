// SPDX-License-Identifier: GPL-2.0
/*
 * Registering memory. It must happen in the task itself, because the kernel
 * pins the caller's pages, and when its memory lies where it belongs, which is
 * so only after CRIU's restorer has left. What needs privileges, the hint for
 * the key, is done from here on a duplicate of the descriptor: the task has
 * its own credentials by now.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "fault.h"
#include "late_task.h"
#include "log.h"
#include "uverbs.h"

static int call_reg_mr(struct late_task *task, int task_fd, const PB(MemoryRegion) *mr,
		       struct uverbs_mr_answer *answer)
{
	struct uverbs_mr_request request = {
		.start = mr->start,
		.length = mr->length,
		.iova = mr->iova,
		.pd = mr->pd,
		.access = mr->access,
	};
	struct uverbs_cmd cmd;
	uint32_t out;
	int64_t ret;

	out = uverbs_build_reg_mr(&cmd, task->inject.scratch, &request);
	ret = inject_write(&task->inject, cmd.bytes, cmd.used);
	if (!ret)
		ret = inject_syscall(&task->inject, SYS_ioctl, task_fd, RDMA_VERBS_IOCTL,
				     task->inject.scratch, 0, 0, 0);
	if (!ret)
		ret = inject_read(&task->inject, cmd.bytes, cmd.used);
	if (!ret)
		uverbs_parse_reg_mr(&cmd, out, answer);
	return ret;
}

static int restore_one(struct late_task *task, const struct restored *restored, int fd,
		       const PB(MemoryRegion) *mr)
{
	struct uverbs_mr_answer answer = {};
	int ret;

	ret = uverbs_destroy_pd(fd, mr->handle);
	if (!ret)
		ret = restored->driver->hint_mr(fd, mr->lkey);
	if (!ret)
		ret = call_reg_mr(task, late_context_fd(restored->context, task->inner), mr, &answer);
	if (!ret && (answer.handle != mr->handle || answer.lkey != mr->lkey ||
		     answer.rkey != mr->rkey))
		ret = -EEXIST;
	if (ret)
		log_fail("memory", "region %#x at %#llx, %llu bytes, cannot be registered: %s",
			 mr->lkey, (unsigned long long)mr->start,
			 (unsigned long long)mr->length, strerror(-ret));
	return ret;
}

/* Handles that belong to something; the others only kept places. */
static uint8_t *used_handles(const PB(Context) *context)
{
	uint8_t *used = calloc(1, IMAGE_MAX_HANDLE);

	if (!used)
		return NULL;
	for (size_t i = 0; i < context->n_pds; i++)
		used[context->pds[i]->handle] = 1;
	for (size_t i = 0; i < context->n_cqs; i++)
		used[context->cqs[i]->handle] = 1;
	for (size_t i = 0; i < context->n_srqs; i++)
		used[context->srqs[i]->handle] = 1;
	for (size_t i = 0; i < context->n_ahs; i++)
		used[context->ahs[i]->handle] = 1;
	for (size_t i = 0; i < context->n_qps; i++)
		used[context->qps[i]->handle] = 1;
	for (size_t i = 0; i < context->n_mrs; i++)
		used[context->mrs[i]->handle] = 1;
	return used;
}

int memory_regions_restore(struct late_task *task, const struct restored *restored, int fd)
{
	const PB(Context) *context = restored->context;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY }, limit;
	size_t registered = 0;
	int ret = 0;

	if (fault("restore.memory.before"))
		return -EIO;
	/* The application may have lowered its limit after it registered. */
	if (prlimit(task->pid, RLIMIT_MEMLOCK, &unlimited, &limit)) {
		log_fail("kernel", "limits of process %d: %s", task->pid, strerror(errno));
		return -errno;
	}
	for (size_t i = 0; i < context->n_mrs && !ret; i++) {
		if (image_region_owner(context, context->mrs[i]) != task->inner)
			continue;
		ret = restore_one(task, restored, fd, context->mrs[i]);
		registered++;
	}
	if (prlimit(task->pid, RLIMIT_MEMLOCK, &limit, NULL) && !ret)
		ret = -errno;
	if (!ret)
		log_info("registered %zu memory regions in process %d", registered, task->pid);
	return ret ? ret : fault("restore.memory.after") ? -EIO : 0;
}

int memory_regions_end(const struct restored *restored, int fd)
{
	const PB(Context) *context = restored->context;
	uint8_t *used = used_handles(context);
	int ret = 0;

	if (!used)
		return -ENOMEM;
	for (long i = image_max_handle(context); i >= 0 && !ret; i--)
		if (!used[i])
			ret = uverbs_destroy_pd(fd, i);
	free(used);
	if (ret)
		log_fail("kernel", "a handle that only kept a place cannot be freed: %s", strerror(-ret));
	return ret;
}

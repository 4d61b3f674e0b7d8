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

#include "batch.h"
#include "fault.h"
#include "late_task.h"
#include "log.h"
#include "uverbs.h"

/* Bytes for the command of one region. */
#define COMMAND_ROOM	(BATCH_SPACE / DRIVER_KEYS_MAX)

/* Regions of one task that are registered at once. */
struct chunk {
	const PB(MemoryRegion) *regions[DRIVER_KEYS_MAX];
	uint32_t keys[DRIVER_KEYS_MAX];
	uint32_t answers[DRIVER_KEYS_MAX];	/* where in the command */
	struct batch_call calls[DRIVER_KEYS_MAX];
	uint8_t commands[DRIVER_KEYS_MAX][COMMAND_ROOM];
	size_t count;
};

static int complain(const PB(MemoryRegion) *mr, int64_t ret)
{
	log_fail("memory", "region %#x at %#llx, %llu bytes, cannot be registered: %s", mr->lkey,
		 (unsigned long long)mr->start, (unsigned long long)mr->length, strerror(-ret));
	return ret;
}

/* The command of a region, as it will lie in the task. */
static int add_command(struct chunk *chunk, size_t i, uint64_t base, int task_fd)
{
	const PB(MemoryRegion) *mr = chunk->regions[i];
	struct uverbs_mr_request request = {
		.start = mr->start,
		.length = mr->length,
		.iova = mr->iova,
		.pd = mr->pd,
		.access = mr->access,
	};
	struct uverbs_cmd cmd;

	chunk->answers[i] = uverbs_build_reg_mr(&cmd, base + i * COMMAND_ROOM, &request);
	if (cmd.used > COMMAND_ROOM)
		return -E2BIG;
	memcpy(chunk->commands[i], cmd.bytes, cmd.used);
	chunk->keys[i] = mr->lkey;
	chunk->calls[i] = (struct batch_call){ SYS_ioctl, { task_fd, RDMA_VERBS_IOCTL,
							    base + i * COMMAND_ROOM } };
	return 0;
}

/* The driver takes all keys or none: which one it does not take, is asked one by one. */
static int hint_keys(const struct driver *driver, int fd, const struct chunk *chunk)
{
	int ret = driver->hint_keys(fd, chunk->keys, chunk->count), one = 0;

	for (size_t i = 0; i < chunk->count && ret && !one; i++) {
		one = driver->hint_keys(fd, &chunk->keys[i], 1);
		if (one)
			complain(chunk->regions[i], one);
	}
	if (ret && !one)
		complain(chunk->regions[0], ret);
	return ret;
}

static int check_answer(const struct chunk *chunk, size_t i)
{
	const PB(MemoryRegion) *mr = chunk->regions[i];
	struct uverbs_mr_answer answer;
	struct uverbs_cmd cmd;

	if (chunk->calls[i].number)
		return chunk->calls[i].number;
	memcpy(cmd.bytes, chunk->commands[i], COMMAND_ROOM);
	uverbs_parse_reg_mr(&cmd, chunk->answers[i], &answer);
	return answer.handle != mr->handle || answer.lkey != mr->lkey || answer.rkey != mr->rkey ?
		       -EEXIST : 0;
}

static int compare_handles(const void *a, const void *b)
{
	const PB(MemoryRegion) *const *one = a, *const *two = b;

	return ((*one)->handle > (*two)->handle) - ((*one)->handle < (*two)->handle);
}

/*
 * The kernel gives a new object the lowest free handle: with the stand-ins of these
 * regions gone, and registered in the order of their handles, each gets its own.
 */
static int register_chunk(struct late_task *task, const struct restored *restored, int fd,
			  struct chunk *chunk)
{
	const uint32_t size = chunk->count * COMMAND_ROOM;
	const int task_fd = late_context_fd(restored->context, task->inner);
	int ret = 0;

	qsort(chunk->regions, chunk->count, sizeof(chunk->regions[0]), compare_handles);
	for (size_t i = 0; i < chunk->count && !ret; i++) {
		ret = uverbs_destroy_pd(fd, chunk->regions[i]->handle);
		if (!ret)
			ret = add_command(chunk, i, task->inject.scratch + BATCH_SPACE, task_fd);
		if (ret)
			complain(chunk->regions[i], ret);
	}
	if (ret)
		return ret;
	ret = hint_keys(restored->driver, fd, chunk);
	if (ret)
		return ret;
	ret = inject_write_at(&task->inject, BATCH_SPACE, chunk->commands, size);
	if (!ret)
		ret = batch_run(&task->inject, chunk->calls, chunk->count);
	if (!ret)
		ret = inject_read_at(&task->inject, BATCH_SPACE, chunk->commands, size);
	if (ret)
		return complain(chunk->regions[0], ret);
	for (size_t i = 0; i < chunk->count && !ret; i++) {
		ret = check_answer(chunk, i);
		if (ret)
			complain(chunk->regions[i], ret);
	}
	return ret;
}

/* Returns how many regions of the task there are, or -errno. */
static int64_t register_all(struct late_task *task, const struct restored *restored, int fd,
			    struct chunk *chunk)
{
	const PB(Context) *context = restored->context;
	int64_t registered = 0;
	int ret = 0;

	chunk->count = 0;
	for (size_t i = 0; i < context->n_mrs && !ret; i++) {
		if (image_region_owner(context, context->mrs[i]) != task->inner)
			continue;
		chunk->regions[chunk->count++] = context->mrs[i];
		registered++;
		if (chunk->count < DRIVER_KEYS_MAX)
			continue;
		ret = register_chunk(task, restored, fd, chunk);
		chunk->count = 0;
	}
	if (!ret && chunk->count)
		ret = register_chunk(task, restored, fd, chunk);
	return ret ? ret : registered;
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
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY }, limit;
	struct chunk *chunk;
	int64_t ret;

	if (fault("restore.memory.before"))
		return -EIO;
	/* The application may have lowered its limit after it registered. */
	if (prlimit(task->pid, RLIMIT_MEMLOCK, &unlimited, &limit)) {
		log_fail("kernel", "limits of process %d: %s", task->pid, strerror(errno));
		return -errno;
	}
	chunk = malloc(sizeof(*chunk));
	ret = chunk ? register_all(task, restored, fd, chunk) : -ENOMEM;
	free(chunk);
	if (prlimit(task->pid, RLIMIT_MEMLOCK, &limit, NULL) && ret >= 0)
		ret = -errno;
	if (ret >= 0)
		log_info("registered %lld memory regions in process %d", (long long)ret, task->pid);
	return ret < 0 ? ret : fault("restore.memory.after") ? -EIO : 0;
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

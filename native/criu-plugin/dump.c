// SPDX-License-Identifier: GPL-2.0
/*
 * The dump: contexts are found by their descriptors, dumped while all tasks
 * are frozen, and written once every process was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <criu/criu-plugin.h>

#include "driver.h"
#include "dump.h"
#include "dump_descriptors.h"
#include "dump_files.h"
#include "dump_limits.h"
#include "dump_mapping.h"
#include "dump_memory.h"
#include "dump_owner.h"
#include "fault.h"
#include "log.h"
#include "tasks.h"

#define UVERBS_PREFIX "/dev/infiniband/uverbs"
#define DEVICE_PREFIX "/dev/infiniband/"
#define EVENT_LINK "anon_inode:[infinibandevent]"

static struct dumped *contexts;
static size_t context_count;
static bool agent_holds, written;

int dump_begin(bool held_by_agent)
{
	int ret;

	agent_holds = held_by_agent;
	written = false;
	dump_descriptors_forget();
	ret = image_remove_all(criu_get_image_dir());
	return ret ? ret : dump_files_begin(criu_get_image_dir());
}

static int hold(struct dumped *dumped, const struct driver_info *info)
{
	int ret;

	if (info->abi != dumped->driver->abi) {
		log_fail("driver-abi", "the %s driver speaks ABI %u, this plugin %u",
			 dumped->driver->name, info->abi, dumped->driver->abi);
		return -EPROTONOSUPPORT;
	}
	if (info->held)
		return 0;
	if (agent_holds) {
		log_fail("not-held", "the device is not held; hold it before the dump");
		return -EBUSY;
	}
	if (fault("dump.hold.before"))
		return -EIO;
	ret = dumped->driver->hold(dumped->fd);
	dumped->held_by_us = !ret;
	return ret ? ret : fault("dump.hold.after") ? -EIO : 0;
}

static PB(Context) *new_context(const char *path, const struct driver *driver, int fd)
{
	PB(Context) *context = calloc(1, sizeof(*context));
	struct timespec now;

	if (!context)
		return NULL;
	sealift__ibverbs__context__init(context);
	context->driver = calloc(1, sizeof(*context->driver));
	if (!context->driver)
		goto fail;
	sealift__ibverbs__driver__init(context->driver);
	context->node_path = strdup(path);
	context->driver->name = strdup(driver->name);
	if (!context->node_path || !context->driver->name)
		goto fail;
	context->driver->abi = driver->abi;
	context->flags = fcntl(fd, F_GETFL);
	clock_gettime(CLOCK_REALTIME, &now);
	context->has_dumped_at = true;
	context->dumped_at = now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
	return context;
fail:
	sealift__ibverbs__context__free_unpacked(context, NULL);
	return NULL;
}

/* Takes over @fd. */
static int add_context(const char *path, int fd)
{
	struct dumped *grown, *dumped;
	struct driver_info info;
	const struct driver *driver;
	struct stat st;
	int ret;

	driver = driver_of(fd, &info);
	if (!driver || fstat(fd, &st)) {
		close(fd);
		log_fail("unsupported",
			 "%s belongs to a driver without the methods to move it; load Sealift's rdma_rxe",
			 path);
		return -EOPNOTSUPP;
	}
	if (context_count >= IMAGE_MAX_CONTEXTS) {
		close(fd);
		log_fail("unsupported", "more than %u verbs contexts", IMAGE_MAX_CONTEXTS);
		return -EOPNOTSUPP;
	}
	grown = realloc(contexts, (context_count + 1) * sizeof(*grown));
	if (!grown) {
		close(fd);
		return -ENOMEM;
	}
	contexts = grown;
	dumped = &contexts[context_count++];
	*dumped = (struct dumped){ .fd = fd, .driver = driver, .device = st.st_rdev };
	dumped->context = new_context(path, driver, fd);
	if (!dumped->context)
		return -ENOMEM;

	ret = hold(dumped, &info);
	if (ret)
		return ret;
	if (fault("dump.context.before"))
		return -EIO;
	ret = driver->dump(fd, dumped->context, &dumped->rings);
	if (!ret)
		log_info("dumped context %zu: %zu QP, %zu SRQ, %zu AH, %zu CQ, %zu MR, %zu PD",
			 context_count - 1, dumped->context->n_qps, dumped->context->n_srqs,
			 dumped->context->n_ahs, dumped->context->n_cqs,
			 dumped->context->n_mrs, dumped->context->n_pds);
	return ret ? ret : fault("dump.context.after") ? -EIO : 0;
}

static int add_descriptor(PB(Context) *context, uint32_t inner, int fd)
{
	PB(Descriptor) *descriptor = calloc(1, sizeof(*descriptor));
	int ret;

	if (!descriptor)
		return -ENOMEM;
	sealift__ibverbs__descriptor__init(descriptor);
	descriptor->pid = inner;
	descriptor->fd = fd;
	ret = image_append(&context->descriptors, &context->n_descriptors, descriptor);
	if (ret)
		free(descriptor);
	return ret;
}

struct task {
	uint32_t inner;
	uint32_t max_fd;
	bool found;
};

static int look_at_fd(pid_t pid, int fd, const char *link, void *arg)
{
	struct task *task = arg;
	int mine, ret;
	size_t i;

	if ((uint32_t)fd > task->max_fd)
		task->max_fd = fd;
	dump_descriptor_seen(fd);
	if (strncmp(link, DEVICE_PREFIX, strlen(DEVICE_PREFIX)))
		return 0;
	if (strncmp(link, UVERBS_PREFIX, strlen(UVERBS_PREFIX))) {
		log_fail("unsupported",
			 "process %u has %s open; connect without it (for librdmacm: exchange addresses over TCP)",
			 task->inner, link);
		return -EOPNOTSUPP;
	}
	mine = task_get_fd(pid, fd);
	if (mine < 0) {
		log_fail("kernel", "descriptor %d of process %d cannot be had: %s", fd, pid,
			 strerror(-mine));
		return mine;
	}
	for (i = 0; i < context_count; i++)
		if (task_same_file(mine, contexts[i].fd))
			break;
	if (i < context_count) {
		close(mine);
	} else {
		ret = add_context(link, mine);
		if (ret)
			return ret;
	}
	task->found = true;
	return add_descriptor(contexts[i].context, task->inner, fd);
}

int dump_task(pid_t pid)
{
	struct task task = {};
	int ret;

	ret = task_inner_pid(pid, &task.inner);
	if (!ret)
		ret = task_each_fd(pid, look_at_fd, &task);
	if (!ret)
		ret = dump_collect_mappings(pid, task.inner);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < context_count; i++)
		if (contexts[i].context->max_fd < task.max_fd)
			contexts[i].context->max_fd = task.max_fd;
	return task.found ? 0 : -ENOTSUP;
}

static int find_owners(void)
{
	size_t count = dump_process_count();
	struct owner *owners = calloc(count + 1, sizeof(*owners));
	int ret = owners ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !ret; i++)
		owners[i].pid = dump_process_at(i, &owners[i].inner);
	for (size_t i = 0; i < context_count && !ret; i++)
		ret = dump_owner_choose(&contexts[i], owners, count);
	if (!ret)
		ret = dump_owner_find(contexts, context_count, owners, count);
	free(owners);
	return ret;
}

/* Each process has what the regions in its memory are over. */
static int check_memory(const PB(Context) *context)
{
	uint32_t inner;
	int ret = 0;

	for (size_t i = 0; i < dump_process_count() && !ret; i++) {
		pid_t pid = dump_process_at(i, &inner);

		ret = dump_memory_check(context, inner, pid);
	}
	return ret;
}

/* All that a restore keeps aside, of all contexts: one process may open them all. */
static void find_room(void)
{
	uint32_t needed = 0, free_fd;

	for (size_t i = 0; i < context_count; i++)
		needed += 2 + contexts[i].context->n_channels;
	free_fd = dump_descriptors_room(needed);
	for (size_t i = 0; i < context_count; i++) {
		PB(Context) *context = contexts[i].context;

		context->has_free_fd = free_fd && free_fd + needed <= context->max_fd;
		context->free_fd = free_fd;
	}
}

static int write_contexts(void)
{
	int dir = criu_get_image_dir(), ret = 0;

	if (fault("dump.image.before"))
		return -EIO;
	find_room();
	for (size_t i = 0; i < context_count && !ret; i++)
		ret = dump_place_mappings(&contexts[i]);
	if (!ret)
		ret = find_owners();
	if (!ret)
		ret = dump_limits_check(contexts, context_count);
	for (size_t i = 0; i < context_count && !ret; i++) {
		ret = check_memory(contexts[i].context);
		if (!ret)
			ret = dump_memory_is_whole(dir, contexts[i].context);
		if (!ret)
			ret = image_check_context(contexts[i].context, "the dump");
		if (!ret)
			ret = image_write_context(dir, i, contexts[i].context);
	}
	if (!ret)
		ret = dump_all_mappings_placed();
	written = !ret;
	return ret ? ret : fault("dump.image.after") ? -EIO : 0;
}

/* Is it an event file of @dumped? */
static int identify_events(const struct dumped *dumped, int fd, PB(File) *file)
{
	uint32_t unread;
	int ret;

	ret = dumped->driver->find_file(dumped->fd, fd, &file->kind, &file->index, &unread);
	if (ret || file->kind != SEALIFT__IBVERBS__FILE_KIND__ASYNC || !unread ||
	    !dumped->context->async || dumped->context->async->has_port_state)
		return ret;
	log_fail("unsupported",
		 "a verbs context has closed its first file of asynchronous events, and %u unread events in another one; read them first (ibv_get_async_event())",
		 unread);
	return -EOPNOTSUPP;
}

/* Which context and what of it? */
static int identify(int fd, PB(File) *file)
{
	char path[64], link[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	if (strncmp(link, UVERBS_PREFIX, strlen(UVERBS_PREFIX)) && strcmp(link, EVENT_LINK))
		return -ENOTSUP;
	for (size_t i = 0; i < context_count; i++) {
		int ret = -EBADF;

		file->context = i;
		file->kind = SEALIFT__IBVERBS__FILE_KIND__CONTEXT;
		if (task_same_file(fd, contexts[i].fd))
			return 0;
		if (!strcmp(link, EVENT_LINK))
			ret = identify_events(&contexts[i], fd, file);
		if (ret != -EBADF)
			return ret;
	}
	log_fail("unsupported", "%s belongs to no verbs context of these processes; close it first",
		 link);
	return -EOPNOTSUPP;
}

/* If each file of a context is still open. */
static size_t expected_files(void)
{
	size_t count = 0;

	for (size_t i = 0; i < context_count; i++)
		count += 1 + !!contexts[i].context->async + contexts[i].context->n_channels;
	return count;
}

int dump_file(int fd, int id)
{
	PB(File) *file = calloc(1, sizeof(*file));
	int ret;

	if (!file)
		return -ENOMEM;
	sealift__ibverbs__file__init(file);
	ret = identify(fd, file);
	if (ret)
		goto fail;
	if (!written) {
		ret = write_contexts();
		if (ret)
			goto fail;
	}
	file->id = id;
	file->flags = fcntl(fd, F_GETFL);
	log_debug("file %#x is kind %d index %u of context %u", file->id, file->kind, file->index,
		  file->context);
	return dump_files_add(file, context_count, expected_files());
fail:
	free(file);
	return ret;
}

void dump_end(bool resume)
{
	for (size_t i = 0; i < context_count; i++) {
		if (resume && contexts[i].held_by_us)
			contexts[i].driver->resume(contexts[i].fd);
		close(contexts[i].fd);
		free(contexts[i].rings.items);
		if (contexts[i].context)
			sealift__ibverbs__context__free_unpacked(contexts[i].context, NULL);
	}
	free(contexts);
	contexts = NULL;
	context_count = 0;
	dump_files_forget();
	dump_forget_mappings();
}

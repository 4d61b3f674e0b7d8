// SPDX-License-Identifier: GPL-2.0
/*
 * A fork's child has its parent's contexts. Who of them may ring the doorbell is
 * to be the same after a restore.
 *
 * A process can register memory through a context that its parent has opened.
 * Restored in the parent, such a region would let peers write over the parent's
 * memory. The driver says whose memory each region is in; the restore registers
 * the region there.
 */
#include <errno.h>
#include <string.h>

#include "dump_owner.h"
#include "log.h"
#include "tasks.h"

/* The driver has left the pid as this process sees it, 0 if there is none. */
static int translate(const PB(Context) *context, PB(MemoryRegion) *mr, const struct owner *owners,
		     size_t owner_count)
{
	pid_t pid = mr->pid;

	for (size_t n = 0; n < owner_count; n++) {
		if (!pid || owners[n].pid != pid || !image_has_open(context, owners[n].inner))
			continue;
		mr->pid = owners[n].inner;
		return 0;
	}
	log_fail("unsupported",
		 "memory region %#x (handle %u, address %#llx) is in the memory of %s that does not have its verbs context open here; let the process that registers memory keep the context open, or deregister the region",
		 mr->lkey, mr->handle, (unsigned long long)mr->start,
		 pid ? "a process" : "an ended process or one");
	return -EOPNOTSUPP;
}

static int thread_may_write(pid_t tid, void *arg)
{
	const struct dumped *dumped = arg;
	int ret = dumped->driver->may_write(dumped->fd, tid);

	/* 1 ends the search; a thread may have gone on its own */
	return !ret ? 1 : ret == -EACCES || ret == -ESRCH ? 0 : ret;
}

/* 1, 0 or -errno. Threads may have credentials of their own. */
static int may_write(struct dumped *dumped, pid_t pid)
{
	int ret = thread_may_write(pid, dumped);

	return ret ? ret : task_each_thread(pid, thread_may_write, dumped);
}

/* In a context without an opener. */
static bool comes_first(const PB(Context) *context, uint32_t inner)
{
	bool maps = image_has_mapped(context, inner), chosen_maps;

	if (!context->owner)
		return true;
	chosen_maps = image_has_mapped(context, context->owner);
	return maps != chosen_maps ? maps : inner < context->owner;
}

int dump_owner_choose(struct dumped *dumped, const struct owner *owners, size_t owner_count)
{
	PB(Context) *context = dumped->context;

	context->owner = 0;
	for (size_t i = 0; i < owner_count; i++) {
		int ret;

		if (!image_has_open(context, owners[i].inner))
			continue;
		ret = may_write(dumped, owners[i].pid);
		if (ret < 0) {
			log_fail("kernel", "whether process %u has opened a verbs context: %s",
				 owners[i].inner, strerror(-ret));
			return ret;
		}
		if (ret || comes_first(context, owners[i].inner))
			context->owner = owners[i].inner;
		if (ret)
			break;
	}
	return 0;
}

int dump_owner_find(struct dumped *contexts, size_t count, const struct owner *owners,
		    size_t owner_count)
{
	int ret = 0;

	for (size_t i = 0; i < count; i++) {
		PB(Context) *context = contexts[i].context;

		for (size_t k = 0; k < context->n_mrs && !ret; k++)
			ret = translate(context, context->mrs[k], owners, owner_count);
	}
	return ret;
}

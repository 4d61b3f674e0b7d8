// SPDX-License-Identifier: GPL-2.0
/*
 * A process can register memory through a context that its parent has opened.
 * Restored in the parent, such a region would let peers write over the parent's
 * memory. The driver says whose memory each region is in; the restore registers
 * the region there.
 */
#include <errno.h>

#include "dump_owner.h"
#include "log.h"

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

// SPDX-License-Identifier: GPL-2.0
/*
 * A process can register memory through a context that its parent has opened,
 * and restored in the parent such a region would let peers write over the
 * parent's memory. A driver of ABI 2 says in whose memory a region is. Of an
 * older one only this is known: the kernel counts what it pins by process
 * (VmPin; ib_umem_get()), so each process must have pinned what its own
 * contexts' regions need, and if it shares a context with others, no more.
 */
#include <errno.h>

#include "dump_owner.h"
#include "log.h"

#define PAGE 4096ULL

/* As ib_umem_num_pages() counts. */
static uint64_t pages_of(const PB(MemoryRegion) *mr)
{
	if (!mr->length)
		return 0;
	return (mr->start + mr->length - 1) / PAGE - mr->start / PAGE + 1;
}

/* What the regions of all contexts that @inner owns pin. */
static uint64_t pages_owned(const struct dumped *contexts, size_t count, uint32_t inner)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < count; i++) {
		const PB(Context) *context = contexts[i].context;

		for (size_t k = 0; k < context->n_mrs && context->owner == inner; k++)
			pages += pages_of(context->mrs[k]);
	}
	return pages;
}

static bool holds(const PB(Context) *context, uint32_t inner)
{
	for (size_t i = 0; i < context->n_holders; i++)
		if (context->holders[i]->pid == inner)
			return true;
	return false;
}

static bool is_shared(const PB(Context) *context)
{
	for (size_t i = 1; i < context->n_holders; i++)
		if (context->holders[i]->pid != context->holders[0]->pid)
			return true;
	return false;
}

static int refuse_missing(const PB(Context) *context, const struct owner *owner, uint64_t pages)
{
	const PB(MemoryRegion) *mr = context->mrs[0];

	log_fail("unsupported",
		 "process %u uses a verbs context whose memory regions (the first: handle %u, address %#llx) need %llu pinned pages, but has pinned %llu: a process that it has forked has registered memory through it; let each process open the device itself",
		 owner->inner, mr->handle, (unsigned long long)mr->start, (unsigned long long)pages,
		 (unsigned long long)owner->pinned);
	return -EOPNOTSUPP;
}

static int refuse_shared(const PB(Context) *context, const struct owner *owner, uint64_t pages)
{
	const PB(MemoryRegion) *mr = context->mrs[0];

	log_fail("unsupported",
		 "process %u shares a verbs context with process %u and has pinned %llu pages, %llu more than its own contexts' regions need, so that the context's regions (the first: handle %u, address %#llx) may be in the memory of either; let each process open the device itself",
		 owner->inner, context->owner, (unsigned long long)owner->pinned,
		 (unsigned long long)(owner->pinned - pages), mr->handle,
		 (unsigned long long)mr->start);
	return -EOPNOTSUPP;
}

/* Where the driver does not say in whose memory the regions are. */
static int check_pinned(const struct dumped *contexts, size_t count, const struct owner *owners,
			size_t owner_count)
{
	for (size_t n = 0; n < owner_count; n++) {
		const struct owner *owner = &owners[n];
		uint64_t pages = pages_owned(contexts, count, owner->inner);

		for (size_t i = 0; i < count; i++) {
			const PB(Context) *context = contexts[i].context;

			if (!context->n_mrs || !holds(context, owner->inner))
				continue;
			if (context->owner == owner->inner && owner->pinned < pages)
				return refuse_missing(context, owner, pages);
			if (is_shared(context) && owner->pinned > pages)
				return refuse_shared(context, owner, pages);
		}
	}
	return 0;
}

/* The driver has left the pid as this process sees it. */
static int translate(const PB(Context) *context, PB(MemoryRegion) *mr, const struct owner *owners,
		     size_t owner_count)
{
	pid_t pid = mr->pid;

	for (size_t n = 0; n < owner_count; n++) {
		if (!pid || owners[n].pid != pid || !holds(context, owners[n].inner))
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
	bool known = true;
	int ret = 0;

	for (size_t i = 0; i < count; i++) {
		PB(Context) *context = contexts[i].context;

		for (size_t k = 0; k < context->n_mrs && !ret; k++) {
			known &= context->mrs[k]->has_pid;
			if (context->mrs[k]->has_pid)
				ret = translate(context, context->mrs[k], owners, owner_count);
		}
	}
	return ret || known ? ret : check_pinned(contexts, count, owners, owner_count);
}

// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "log.h"
#include "restored.h"

static struct restored *contexts;
static size_t context_count;
static bool has_agent;

size_t restored_count(void)
{
	return context_count;
}

struct restored *restored_at(size_t n)
{
	return &contexts[n];
}

bool restored_has_agent(void)
{
	return has_agent;
}

/* One shared block: the struct, then its arrays. */
static struct built *share(const PB(Context) *context)
{
	size_t n_files = 2 + context->n_channels;
	size_t size = sizeof(struct built) + context->n_cqs * sizeof(uint64_t) +
		      context->n_srqs * sizeof(uint64_t) +
		      context->n_qps * sizeof(uint64_t[2]) + n_files * sizeof(int);
	struct built *built;

	built = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (built == MAP_FAILED)
		return NULL;
	built->cq_offset = (uint64_t *)(built + 1);
	built->srq_offset = built->cq_offset + context->n_cqs;
	built->qp_offset = (uint64_t (*)[2])(built->srq_offset + context->n_srqs);
	built->files = (int *)(built->qp_offset + context->n_qps);
	for (size_t i = 0; i < n_files; i++)
		built->files[i] = -1;
	return built;
}

static int read_context(int dir, size_t n)
{
	struct restored *restored = &contexts[n];
	int ret;

	ret = image_read_context(dir, n, &restored->context);
	if (ret == -ENOENT)
		log_fail("image-missing", "ibverbs-%zu.img", n);
	if (ret)
		return ret;
	restored->driver = driver_by_name(restored->context->driver->name);
	if (!restored->driver || restored->driver->abi != restored->context->driver->abi) {
		log_fail("driver-abi", "the image is of driver %.32s with ABI %u",
			 restored->context->driver->name, restored->context->driver->abi);
		return -EPROTONOSUPPORT;
	}
	restored->built = share(restored->context);
	return restored->built ? 0 : -ENOMEM;
}

int restored_read(int dir, size_t count, bool agent)
{
	int ret;

	has_agent = agent;
	contexts = calloc(count + 1, sizeof(*contexts));
	if (!contexts)
		return -ENOMEM;
	for (; context_count < count; context_count++) {
		ret = read_context(dir, context_count);
		if (ret)
			return ret;
	}
	return 0;
}

void restored_forget(void)
{
	for (size_t i = 0; i < context_count; i++)
		sealift__ibverbs__context__free_unpacked(contexts[i].context, NULL);
	free(contexts);
	contexts = NULL;
	context_count = 0;
}

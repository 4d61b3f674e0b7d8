// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "dirty.h"
#include "log.h"

#define PAGE 4096ULL
#define BATCH 256
#define ACCESS_LOCAL_WRITE 1

static int rewrite(pid_t pid, uint64_t start, uint64_t end)
{
	uint8_t bytes[BATCH];

	while (start < end) {
		struct iovec remote[BATCH], local = { .iov_base = bytes };
		size_t n;

		for (n = 0; n < BATCH && start < end; n++) {
			remote[n].iov_base = (void *)(uintptr_t)start;
			remote[n].iov_len = 1;
			start = (start / PAGE + 1) * PAGE;
		}
		local.iov_len = n;
		if (process_vm_readv(pid, &local, 1, remote, n, 0) != (ssize_t)n ||
		    process_vm_writev(pid, &local, 1, remote, n, 0) != (ssize_t)n)
			return errno ? -errno : -EFAULT;
	}
	return 0;
}

int dirty_regions(int dir, const PB(Context) *context, pid_t pid)
{
	struct stat st;

	if (fstatat(dir, "parent", &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	for (size_t i = 0; i < context->n_mrs; i++) {
		const PB(MemoryRegion) *mr = context->mrs[i];
		int ret;

		if (!(mr->access & ACCESS_LOCAL_WRITE) || !mr->length)
			continue;
		ret = rewrite(pid, mr->start, mr->start + mr->length);
		if (ret) {
			log_fail("memory", "region %#x cannot be marked as written: %s", mr->lkey,
				 strerror(-ret));
			return ret;
		}
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/* Which regions could be registered again, looked at in this process's own memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump_memory.h"
#include "unit.h"

#define PAGE 4096
#define LOCAL_WRITE 1
#define REMOTE_READ 4

static int look(PB(MemoryRegion) *mr)
{
	PB(MemoryRegion) *list[1] = { mr };
	PB(Context) context;

	sealift__ibverbs__context__init(&context);
	context.owner = 7;
	context.n_mrs = 1;
	context.mrs = list;
	unit_clear_log();
	return dump_memory_check(&context, 7, getpid());
}

/* An image directory with and without the link to an earlier dump. */
static void parents(void)
{
	PB(MemoryRegion) mr, *list[1] = { &mr };
	char path[] = "/tmp/sealift-unit-XXXXXX";
	PB(Context) context;
	int dir;

	sealift__ibverbs__memory_region__init(&mr);
	sealift__ibverbs__context__init(&context);
	context.mrs = list;
	context.n_mrs = 1;
	mr.access = LOCAL_WRITE;
	CHECK(mkdtemp(path));
	dir = open(path, O_DIRECTORY);
	CHECK(!dump_memory_is_whole(dir, &context));
	CHECK(!symlinkat("../before", dir, "parent"));
	unit_clear_log();
	CHECK(dump_memory_is_whole(dir, &context) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: the device can write"));
	mr.access = REMOTE_READ;
	CHECK(!dump_memory_is_whole(dir, &context));
	context.n_mrs = 0;
	CHECK(!dump_memory_is_whole(dir, &context));
	unlinkat(dir, "parent", 0);
	close(dir);
	rmdir(path);
}

void unit_memory(void)
{
	uint8_t *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	PB(MemoryRegion) mr;

	parents();
	CHECK(memory != MAP_FAILED);
	sealift__ibverbs__memory_region__init(&mr);
	mr.start = (uintptr_t)memory + 100;
	mr.length = 8 * PAGE - 100;
	mr.access = LOCAL_WRITE;
	CHECK(!look(&mr));

	/* Several mappings side by side are as good as one. */
	CHECK(!mprotect(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	CHECK(!look(&mr));

	CHECK(!mprotect(memory + 4 * PAGE, PAGE, PROT_READ));
	CHECK(look(&mr) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: memory region"));
	mr.access = REMOTE_READ;
	CHECK(!look(&mr));
	CHECK(!mprotect(memory + 4 * PAGE, PAGE, PROT_NONE));
	CHECK(look(&mr) == -EOPNOTSUPP);
	mr.length = 4 * PAGE - 100;
	CHECK(!look(&mr));

	CHECK(!munmap(memory, PAGE));
	CHECK(look(&mr) == -EOPNOTSUPP);
	mr.start = (uintptr_t)memory + PAGE;
	mr.length = 3 * PAGE;
	CHECK(!look(&mr));
	munmap(memory, 8 * PAGE);
	CHECK(look(&mr) == -EOPNOTSUPP);
	/* Another process's regions are over that process's memory. */
	mr.has_pid = true;
	mr.pid = 8;
	CHECK(!look(&mr));
	mr.pid = 7;
	CHECK(look(&mr) == -EOPNOTSUPP);
}

// SPDX-License-Identifier: GPL-2.0
/* How many handles can be given again, by all contexts together. */
#include <errno.h>
#include <string.h>

#include "dump_limits.h"
#include "unit.h"

static int look(uint32_t first, uint32_t second)
{
	PB(MemoryRegion) mr[2], *mrs[2] = { &mr[0], &mr[1] };
	struct dumped contexts[3] = {};
	PB(Context) context[3];

	for (int i = 0; i < 3; i++) {
		sealift__ibverbs__context__init(&context[i]);
		contexts[i].context = &context[i];
	}
	for (int i = 0; i < 2; i++) {
		sealift__ibverbs__memory_region__init(&mr[i]);
		context[i].n_mrs = 1;
		context[i].mrs = &mrs[i];
	}
	mr[0].handle = first;
	mr[1].handle = second;
	unit_clear_log();
	return dump_limits_check(contexts, 3);
}

void unit_limits(void)
{
	CHECK(!look(40000, 40000));
	CHECK(!look(IMAGE_MAX_HANDLE - 2, 0));
	CHECK(look(IMAGE_MAX_HANDLE - 1, 0) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: "));
	CHECK(look(IMAGE_MAX_HANDLE / 2, IMAGE_MAX_HANDLE / 2) == -EOPNOTSUPP);
	CHECK(look(0xffffffff, 0) == -EOPNOTSUPP);
}

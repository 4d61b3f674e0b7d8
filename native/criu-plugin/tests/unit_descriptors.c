// SPDX-License-Identifier: GPL-2.0
/* Where a restore keeps descriptors of which no process may have one. */
#include "dump_descriptors.h"
#include "unit.h"

#define HIGHEST ((1 << 20) - 1)

static void see(int first, int last)
{
	for (int fd = first; fd <= last; fd++)
		dump_descriptor_seen(fd);
}

void unit_descriptors(void)
{
	dump_descriptors_forget();
	CHECK(!dump_descriptors_room(1));
	see(0, 10);
	CHECK(!dump_descriptors_room(1));
	dump_descriptor_seen(600000);
	CHECK(dump_descriptors_room(1) == 599999);
	CHECK(dump_descriptors_room(4098) == 600000 - 4098);
	CHECK(!dump_descriptors_room(0));
	/* another process has one in the middle */
	dump_descriptor_seen(599000);
	CHECK(dump_descriptors_room(999) == 599001);
	CHECK(dump_descriptors_room(1000) == 598000);
	CHECK(!dump_descriptors_room(599000));
	dump_descriptor_seen(HIGHEST);
	CHECK(dump_descriptors_room(2) == HIGHEST - 2);
	dump_descriptor_seen(-1);
	dump_descriptor_seen(HIGHEST + 1);
	dump_descriptors_forget();
	/* a row without a gap */
	see(0, 5000);
	CHECK(!dump_descriptors_room(1));
	dump_descriptors_forget();
}

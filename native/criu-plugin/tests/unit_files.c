// SPDX-License-Identifier: GPL-2.0
/* The dump's table of files is whole on disk when the last file has come, and not written for each of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump_files.h"
#include "failure.h"
#include "unit.h"

#define COUNT 1000

static PB(File) *new_file(uint32_t id)
{
	PB(File) *file = calloc(1, sizeof(*file));

	sealift__ibverbs__file__init(file);
	file->id = id;
	return file;
}

/* Return: files in the table on disk */
static size_t on_disk(int dir)
{
	PB(FileTable) *table = NULL;
	size_t count;

	if (image_read_files(dir, &table))
		return (size_t)-1;
	count = table->n_files;
	sealift__ibverbs__file_table__free_unpacked(table, NULL);
	return count;
}

/* Return: how often the table was written */
static unsigned int add(int dir, uint32_t count, size_t expected)
{
	unsigned int written = 0;

	for (uint32_t i = 0; i < count; i++) {
		/* one that is written is there again */
		unlinkat(dir, IMAGE_FILES_NAME, 0);
		CHECK(!dump_files_add(new_file(i), 1, expected));
		written += !faccessat(dir, IMAGE_FILES_NAME, F_OK, 0);
	}
	return written;
}

void unit_files(void)
{
	char path[] = "/tmp/sealift-unit-XXXXXX";
	int dir;

	CHECK(mkdtemp(path));
	dir = open(path, O_DIRECTORY);
	CHECK(!dump_files_begin(dir));
	CHECK(on_disk(dir) == 0);
	CHECK(!dump_files_finish());
	CHECK(add(dir, COUNT, COUNT) < 15);
	CHECK(on_disk(dir) == COUNT);
	/* more than was expected: each may be the last */
	CHECK(!dump_files_add(new_file(COUNT), 1, COUNT));
	CHECK(on_disk(dir) == COUNT + 1);
	dump_files_forget();

	/* fewer than was expected */
	CHECK(!dump_files_begin(dir));
	add(dir, 7, 9);
	CHECK(on_disk(dir) != 7);
	CHECK(!dump_files_finish());
	CHECK(on_disk(dir) == 7);
	dump_files_forget();

	/* CRIU does not hear that the last write has failed: the report says so, and why */
	CHECK(!dump_files_begin(dir));
	add(dir, 7, 9);
	unlinkat(dir, IMAGE_FILES_NAME, 0);
	CHECK(!mkdirat(dir, IMAGE_FILES_NAME, 0700));
	CHECK(!failure_reset());
	CHECK(dump_files_finish() == -EISDIR);
	CHECK(failure_first() && !strcmp(failure_first()->code, "image-write"));
	CHECK(!failure_reset());
	dump_files_forget();
	unlinkat(dir, IMAGE_FILES_NAME, AT_REMOVEDIR);
	close(dir);
	rmdir(path);
}

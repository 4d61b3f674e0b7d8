// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "dump_files.h"

static PB(FileTable) files;
static size_t on_disk;
static int image_dir;

static int write_files(void)
{
	int ret = image_write_files(image_dir, &files);

	if (!ret)
		on_disk = files.n_files;
	return ret;
}

int dump_files_begin(int dir)
{
	sealift__ibverbs__file_table__init(&files);
	image_dir = dir;
	/* A container without RDMA has an empty table, so that a lost one is noticed. */
	return write_files();
}

int dump_files_add(PB(File) *file, size_t contexts, size_t expected)
{
	int ret = image_append(&files.files, &files.n_files, file);

	if (ret) {
		free(file);
		return ret;
	}
	files.contexts = contexts;
	if (files.n_files < expected && files.n_files & (files.n_files - 1))
		return 0;
	return write_files();
}

int dump_files_finish(void)
{
	return on_disk == files.n_files ? 0 : write_files();
}

void dump_files_forget(void)
{
	for (size_t i = 0; i < files.n_files; i++)
		free(files.files[i]);
	free(files.files);
	files.files = NULL;
	files.n_files = 0;
	on_disk = 0;
}

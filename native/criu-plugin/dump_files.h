/* SPDX-License-Identifier: GPL-2.0 */
/* The dump's table of files: which of CRIU's external files is what. */
#ifndef SEALIFT_DUMP_FILES_H
#define SEALIFT_DUMP_FILES_H

#include <stddef.h>

#include "image.h"

/* All return 0 or -errno, with the reason in the log. */

/* Write an empty table to @dir. */
int dump_files_begin(int dir);

/*
 * dump_files_add - one more file, of @contexts contexts
 * Takes over @file. Of @expected ones this may be the last: the table is on disk
 * then. Until then it is written when it has doubled, for all of it each time
 * takes too long.
 */
int dump_files_add(PB(File) *file, size_t contexts, size_t expected);

/* Write what is not on disk: some file that was expected is not open any more. */
int dump_files_finish(void);
void dump_files_forget(void);

#endif

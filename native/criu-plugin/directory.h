/* SPDX-License-Identifier: GPL-2.0 */
/* The names in a directory. */
#ifndef SEALIFT_DIRECTORY_H
#define SEALIFT_DIRECTORY_H

/*
 * Call @fn for every name in the open @dir, `.` and `..` included, until it returns other than 0; returns that.
 * -errno if the directory cannot be read. The descriptor's own position stays as it is.
 */
int directory_each_name(int dir, int (*fn)(int dir, const char *name, void *arg), void *arg);

#endif

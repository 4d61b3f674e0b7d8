/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_FOLDER_H
#define SEALIFT_FOLDER_H

/*
 * Call @fn for every name in the open @folder, `.` and `..` included, until it returns other than 0; returns that.
 * -errno if the folder cannot be read. The descriptor's own position stays as it is.
 */
int folder_each_name(int folder, int (*fn)(int folder, const char *name, void *arg), void *arg);

#endif

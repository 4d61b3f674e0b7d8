// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "folder.h"

int folder_each_name(int folder, int (*fn)(int folder, const char *name, void *arg), void *arg)
{
	int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;

	if (!dir) {
		ret = -errno;
		if (own >= 0)
			close(own);
		return ret;
	}
	while (!ret && (entry = readdir(dir)))
		ret = fn(folder, entry->d_name, arg);
	closedir(dir);
	return ret;
}

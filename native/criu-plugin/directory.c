// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "directory.h"

int directory_each_name(int dir, int (*fn)(int dir, const char *name, void *arg), void *arg)
{
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	DIR *stream = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;

	if (!stream) {
		ret = -errno;
		if (own >= 0)
			close(own);
		return ret;
	}
	while (!ret && (entry = readdir(stream)))
		ret = fn(dir, entry->d_name, arg);
	closedir(stream);
	return ret;
}

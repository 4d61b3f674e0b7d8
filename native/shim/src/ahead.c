// SPDX-License-Identifier: Apache-2.0
#include "ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME	"descriptors.json"
#define READY	NAME ".ready"
/* What a pipe takes at once. runc writes three names into the file. */
#define LONGEST	65536

static int join(char path[PATH_MAX], const char *images, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", images, name) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int is_fifo(const char *images)
{
	char path[PATH_MAX];
	struct stat st;

	return join(path, images, NAME) == 0 && lstat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

int ahead_open(const char *images)
{
	char path[PATH_MAX];

	if (!is_fifo(images) || join(path, images, NAME) < 0)
		return -1;
	return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
}

/* Returns the number of bytes, or -1 with errno: EFBIG if there are more than @size. */
static ssize_t read_whole(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t used = 0;
	ssize_t got = 0;
	char more;

	if (fd < 0)
		return -1;
	while (used < size && (got = read(fd, to + used, size - used)) > 0)
		used += got;
	if (used == size && got > 0)
		got = read(fd, &more, 1);
	if (got > 0)
		errno = EFBIG;
	close(fd);
	return got ? -1 : (ssize_t)used;
}

int ahead_go(const char *images, int fifo)
{
	char ready[PATH_MAX], path[PATH_MAX], text[LONGEST];
	ssize_t size;

	if (join(ready, images, READY) < 0 || join(path, images, NAME) < 0)
		return -1;
	if (fifo < 0 && access(ready, F_OK) < 0 && !is_fifo(images))
		return 0;
	size = read_whole(ready, text, sizeof(text));
	/* A runc that comes later finds the file. One that has opened the FIFO reads from it. */
	if (size < 0 || rename(ready, path) < 0)
		return -1;
	return fifo < 0 || write(fifo, text, size) == size ? 0 : -1;
}

void ahead_stop(const char *images, int fifo)
{
	char path[PATH_MAX];

	/* A runc that comes later finds nothing. */
	if (is_fifo(images) && join(path, images, NAME) == 0)
		unlink(path);
	if (fifo >= 0)
		close(fifo);
}

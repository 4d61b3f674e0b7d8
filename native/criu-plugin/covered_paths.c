// SPDX-License-Identifier: GPL-2.0
/*
 * CRIU restores the mounts that the source had. A path that the source's kernel did not have, but this one has
 * (/proc/asound comes with a module, /sys/firmware with the machine), was neither masked nor made read-only there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "in_mount_namespace.h"
#include "log.h"
#include "mounts.h"

#define NULL_DEVICE makedev(1, 3)

struct paths {
	const char *masked, *read_only;
};

static int put_over(int mount, int place)
{
	unsigned int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

	return syscall(SYS_move_mount, mount, "", place, "", flags) ? -errno : 0;
}

static int clone_of(int fd)
{
	int mount = syscall(SYS_open_tree, fd, "",
			    AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return mount < 0 ? -errno : mount;
}

static int empty_directory(void)
{
	int fs = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mount = -1;

	if (fs < 0)
		return -errno;
	if (!syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) &&
	    !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mount = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	if (mount < 0)
		mount = -errno;
	close(fs);
	return mount;
}

/* As runc does it: the container's own /dev/null over a file, an empty directory over a directory. */
static int empty_file(void)
{
	struct stat st;
	int fd = open_plain("/dev/null"), ret;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != NULL_DEVICE)
		ret = -ENODEV;
	else
		ret = clone_of(fd);
	close(fd);
	return ret;
}

static int read_only_clone(int fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int mount = clone_of(fd), ret;

	if (mount < 0)
		return mount;
	if (!syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return mount;
	ret = -errno;
	close(mount);
	return ret;
}

static int cover(const char *path, bool masked)
{
	int place = open_plain(path), mount, ret = 0;
	struct statx st;

	if (place < 0)
		return place == -ENOENT || place == -ENOTDIR ? 0 : place;
	if (statx(place, "", AT_EMPTY_PATH, STATX_TYPE, &st))
		ret = -errno;
	else if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		ret = -EOPNOTSUPP;
	if (ret || st.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		close(place);
		return ret;
	}
	if (!masked)
		mount = read_only_clone(place);
	else
		mount = S_ISDIR(st.stx_mode) ? empty_directory() : empty_file();
	ret = mount < 0 ? mount : put_over(mount, place);
	if (mount >= 0)
		close(mount);
	close(place);
	return ret;
}

static int cover_each(const char *list, bool masked)
{
	char *lines = strdup(list ?: ""), *save;
	int ret = lines ? 0 : -ENOMEM;

	for (char *path = lines ? strtok_r(lines, "\n", &save) : NULL; path && !ret;
	     path = strtok_r(NULL, "\n", &save))
		ret = cover(path, masked);
	free(lines);
	return ret;
}

static int cover_all(void *arg)
{
	const struct paths *paths = arg;
	int ret = cover_each(paths->masked, true);

	return ret ? ret : cover_each(paths->read_only, false);
}

int mounts_cover(pid_t pid, const char *masked, const char *read_only)
{
	struct paths paths = { masked, read_only };
	int ret;

	if (!masked && !read_only)
		return 0;
	ret = in_mount_namespace(pid, cover_all, &paths);
	if (ret)
		log_fail("setting", "the container's masked and read-only paths cannot be covered: %s",
			 strerror(-ret));
	return ret;
}

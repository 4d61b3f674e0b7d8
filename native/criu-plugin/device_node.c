// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device_node.h"
#include "directory.h"
#include "log.h"

#define KERNEL_NAME "uverbs"
#define NODE_MODE 0666

/* The container's links lead to places in its own root. */
static int open_in_root(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int open_directory(const char *root, const char *path)
{
	int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (at < 0)
		return -errno;
	fd = open_in_root(at, path);
	close(at);
	return fd;
}

/* uverbs and digits, and nothing else. */
static bool is_kernel_name(const char *name)
{
	size_t prefix = strlen(KERNEL_NAME);

	return !strncmp(name, KERNEL_NAME, prefix) && name[prefix] &&
	       strspn(name + prefix, "0123456789") == strlen(name + prefix);
}

/* What this kernel calls the device: the last part of what <major>:<minor> links to. */
static int kernel_name(const char *names, dev_t device, char *name, size_t size)
{
	char link[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t n;

	n = snprintf(link, sizeof(link), "%s/%u:%u", names, major(device), minor(device));
	if (n >= (ssize_t)sizeof(link))
		return -ENAMETOOLONG;
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (!is_kernel_name(last) || strlen(last) >= size)
		return -EINVAL;
	strcpy(name, last);
	return 0;
}

static int stat_node(int dir, const char *name, struct statx *st)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

	return statx(dir, name, flags, STATX_TYPE | STATX_MODE, st) ? -errno : 0;
}

static bool is_device(const struct statx *st, dev_t device)
{
	return S_ISCHR(st->stx_mode) && st->stx_rdev_major == major(device) &&
	       st->stx_rdev_minor == minor(device);
}

/*
 * A node of an earlier move leads to another device, or to none. Unlinking a mount point from outside its mount
 * namespace would unmount it there, so those stay.
 */
static int remove_stale(int dir, const char *name, void *device)
{
	struct statx st;
	int ret;

	if (!is_kernel_name(name))
		return 0;
	ret = stat_node(dir, name, &st);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (!S_ISCHR(st.stx_mode) || st.stx_attributes & STATX_ATTR_MOUNT_ROOT ||
	    is_device(&st, *(dev_t *)device))
		return 0;
	if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return -EOPNOTSUPP;
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return -errno;
	log_info("removed the stale node %s", name);
	return 0;
}

static int make_node(int dir, const char *name, dev_t device)
{
	struct statx st;

	if (!stat_node(dir, name, &st))
		return is_device(&st, device) ? 0 : -EEXIST;
	/* Not subject to the umask: a user other than root opens it too. */
	if (mknodat(dir, name, S_IFCHR | NODE_MODE, device))
		return -errno;
	if (fchmodat(dir, name, NODE_MODE, 0))
		return -errno;
	log_info("made the node %s for %u:%u", name, major(device), minor(device));
	return 0;
}

/* The node at @name in @dir, which is a mount of this node's device. */
static int place_beside(int dir, const char *name, const char *names)
{
	char wanted[NAME_MAX + 1];
	struct stat st;
	int ret;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENODEV;
	ret = kernel_name(names, st.st_rdev, wanted, sizeof(wanted));
	if (!ret)
		ret = directory_each_name(dir, remove_stale, &st.st_rdev);
	return ret ? ret : make_node(dir, wanted, st.st_rdev);
}

/* Processes without a /dev of their own use the node's, which has the nodes of all devices, under their right names. */
static bool is_own(int dir, const char *path)
{
	struct stat own, st;

	return !stat(path, &own) && !fstat(dir, &st) && own.st_dev == st.st_dev &&
	       own.st_ino == st.st_ino;
}

int device_node_place(const char *root, const char *path, const char *names)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	int dir, ret;

	if (!slash || !slash[1] || (size_t)(slash - path) >= sizeof(parent) - 1) {
		ret = -EINVAL;
	} else {
		snprintf(parent, sizeof(parent), "%.*s/", (int)(slash - path), path);
		dir = open_directory(root, parent);
		ret = dir;
		if (dir >= 0) {
			ret = is_own(dir, parent) ? 0 : place_beside(dir, slash + 1, names);
			close(dir);
		}
	}
	if (ret)
		log_fail("device", "the container's %s cannot be given this kernel's name: %s", path,
			 strerror(-ret));
	return ret;
}

int device_node_restore(pid_t pid)
{
	const char *path = getenv("SEALIFT_UVERBS");
	char root[64];

	if (!path || !*path)
		return 0;
	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	return device_node_place(root, path, "/sys/dev/char");
}

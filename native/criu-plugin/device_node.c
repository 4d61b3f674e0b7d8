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

/* The text of a link that the plugin makes. No program would write it so. */
static int link_text(const char *name, char *text, size_t size)
{
	return snprintf(text, size, "./%s", name) < (int)size ? 0 : -ENAMETOOLONG;
}

static bool is_link(int dir, const char *name, const char *text)
{
	char found[NAME_MAX + 3];
	ssize_t n = readlinkat(dir, name, found, sizeof(found) - 1);

	if (n < 0)
		return false;
	found[n] = 0;
	return !strcmp(found, text);
}

/* A container's node of a device, and this kernel's name of that. */
struct placing {
	dev_t device;
	const char *node;
	const char *name;
	char text[NAME_MAX + 3];
};

/*
 * What an earlier move has made: a link under another kernel's name or, before there were links, a node.
 * Unlinking a mount point from outside its mount namespace would unmount it there, so those stay.
 */
static int remove_stale(int dir, const char *name, void *data)
{
	const struct placing *placing = data;
	struct statx st;
	int ret;

	if (!is_kernel_name(name) || !strcmp(name, placing->node))
		return 0;
	ret = stat_node(dir, name, &st);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	if (!S_ISCHR(st.stx_mode) &&
	    (!strcmp(name, placing->name) || !is_link(dir, name, placing->text)))
		return 0;
	if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return -EOPNOTSUPP;
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return -errno;
	log_info("removed the stale name %s", name);
	return 0;
}

/*
 * A link: by whatever name a process opens the device, it has the file of the mount. CRIU finds that without opening it, but
 * opens a node that is mapped from a file system without a disk, as the container's /dev is. The kernel refuses that in
 * another network namespace (ib_uverbs_open()).
 */
static int make_link(int dir, const struct placing *placing)
{
	struct stat st;

	if (!fstatat(dir, placing->name, &st, 0) && S_ISCHR(st.st_mode) && st.st_rdev == placing->device)
		return 0;
	if (symlinkat(placing->text, dir, placing->name))
		return -errno;
	log_info("made the name %s for %u:%u", placing->name, major(placing->device),
		 minor(placing->device));
	return 0;
}

/* The node at @name in @dir, which is a mount of this node's device. */
static int place_beside(int dir, const char *name, const char *names)
{
	char wanted[NAME_MAX + 1];
	struct placing placing = { .node = name, .name = wanted };
	struct stat st;
	int ret;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENODEV;
	placing.device = st.st_rdev;
	ret = kernel_name(names, st.st_rdev, wanted, sizeof(wanted));
	if (!ret)
		ret = link_text(name, placing.text, sizeof(placing.text));
	if (!ret)
		ret = directory_each_name(dir, remove_stale, &placing);
	return ret ? ret : make_link(dir, &placing);
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

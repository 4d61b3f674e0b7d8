// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "in_mount_namespace.h"
#include "mountinfo.h"

int in_namespace(pid_t pid, const char *name, int type, int (*fn)(void *arg), void *arg)
{
	int status, namespace, ret;
	char path[64];
	pid_t child;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace < 0)
		return -errno;
	/* fork() without a signal at the end. */
	child = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (child < 0) {
		ret = -errno;
	} else if (!child) {
		ret = setns(namespace, type) ? -errno : fn(arg);
		_exit(ret < 0 && ret > -256 ? -ret : ret != 0);
	} else {
		do
			ret = waitpid(child, &status, __WALL) == child ? 0 : -errno;
		while (ret == -EINTR);
		if (!ret)
			ret = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	}
	close(namespace);
	return ret;
}

int in_mount_namespace(pid_t pid, int (*fn)(void *arg), void *arg)
{
	return in_namespace(pid, "mnt", CLONE_NEWNS, fn, arg);
}

int open_plain(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int open_mount(const char *path, uint64_t id)
{
	char plain[PATH_MAX];
	struct statx st;
	int fd;

	if (strlen(path) >= sizeof(plain))
		return -ENAMETOOLONG;
	strcpy(plain, path);
	mountinfo_unescape(plain);
	fd = open_plain(plain);
	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) || !(st.stx_mask & STATX_MNT_ID) ||
	    st.stx_mnt_id != id) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

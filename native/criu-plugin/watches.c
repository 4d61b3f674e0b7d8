// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "directory.h"
#include "log.h"
#include "mountinfo.h"
#include "tasks.h"
#include "watches.h"

/* The kernel's dev_t, which is another one than the C library's. */
#define KERNEL_MINOR_BITS 20
/* Overlayfs gives out handles that it cannot open. CRIU searches for those files itself. */
#define OVERLAY_HANDLE 0xf8
/* A search is in the pause. It takes about a second on a slow node. */
#define MOST_SEARCHED 200000
#define DEEPEST 64

/* Descriptors of what had no name. */
static int *kept;
static size_t kept_count;

int watch_parse(const char *line, struct watch *watch)
{
	unsigned long inode, device;
	unsigned int bytes, type;
	int at = 0;

	if (strncmp(line, "inotify ", 8))
		return -ENOENT;
	if (sscanf(line, "inotify wd:%*x ino:%lx sdev:%lx mask:%*x ignored_mask:%*x fhandle-bytes:%x fhandle-type:%x f_handle:%n",
		   &inode, &device, &bytes, &type, &at) != 4 || !at)
		return -EINVAL;
	if (bytes > sizeof(watch->handle) || strlen(line + at) < 2 * (size_t)bytes)
		return -EINVAL;
	watch->inode = inode;
	watch->device = makedev(device >> KERNEL_MINOR_BITS,
				device & ((1UL << KERNEL_MINOR_BITS) - 1));
	watch->handle_bytes = bytes;
	watch->handle_type = type;
	for (unsigned int i = 0; i < bytes; i++)
		if (sscanf(line + at + 2 * i, "%2hhx", &watch->handle[i]) != 1)
			return -EINVAL;
	return 0;
}

/* What one watch is looked for with. */
struct search {
	const struct watch *watch;
	pid_t pid;
	int root;	/* of the process */
	unsigned int seen, depth;
	bool has_mount, is_removed;
	int found;	/* descriptor, or -1 */
};

static bool is_watched(const struct search *search, const struct stat *st)
{
	return st->st_ino == search->watch->inode && st->st_dev == search->watch->device;
}

static int open_handle(int mount, const struct watch *watch)
{
	struct {
		struct file_handle head;
		uint8_t bytes[WATCH_HANDLE_BYTES];
	} handle = {};

	handle.head.handle_bytes = watch->handle_bytes;
	handle.head.handle_type = watch->handle_type;
	memcpy(handle.bytes, watch->handle, watch->handle_bytes);
	return open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
}

/* Does the kernel give the file behind the handle a name that leads to it? As CRIU asks (criu/fsnotify.c). */
static bool has_name(struct search *search, int mount)
{
	char self[64], name[PATH_MAX];
	struct stat st;
	ssize_t n;
	int fd;

	fd = open_handle(mount, search->watch);
	if (fd < 0)
		return false;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, name, sizeof(name) - 1);
	search->is_removed = !fstat(fd, &st) && !st.st_nlink;
	close(fd);
	if (n <= 0 || *name != '/')
		return false;
	name[n] = 0;
	return !fstatat(search->root, n == 1 ? "." : name + 1, &st, AT_SYMLINK_NOFOLLOW) &&
	       is_watched(search, &st);
}

static int look_below(int dir, const char *name, void *arg);

static int look_into(int parent, const char *name, struct search *search)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), ret;

	if (dir < 0)
		return 0;
	search->depth++;
	ret = directory_each_name(dir, look_below, search);
	search->depth--;
	close(dir);
	return ret;
}

/* Stops with 1 when it is found, and with -E2BIG. What vanishes meanwhile is passed over. */
static int look_below(int dir, const char *name, void *arg)
{
	struct search *search = arg;
	struct stat st;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (++search->seen > MOST_SEARCHED)
		return -E2BIG;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != search->watch->device)
		return 0;
	if (is_watched(search, &st)) {
		search->found = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		return search->found >= 0;
	}
	return S_ISDIR(st.st_mode) && search->depth < DEEPEST ? look_into(dir, name, search) : 0;
}

/* @fn gets a descriptor of each directory that is a mount of the watched file's device. */
struct each_mount {
	struct search *search;
	int (*fn)(struct search *search, int mount);
};

static int visit_mount(const struct mountinfo_line *line, void *arg)
{
	const struct each_mount *each = arg;
	struct stat st;
	int mount, ret = 0;

	mountinfo_unescape(line->path);
	mount = openat(each->search->root, line->path[1] ? line->path + 1 : ".",
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (mount < 0)
		return 0;
	if (!fstat(mount, &st) && st.st_dev == each->search->watch->device) {
		each->search->has_mount = true;
		ret = each->fn(each->search, mount);
	}
	close(mount);
	return ret;
}

static int each_mount(struct search *search, int (*fn)(struct search *search, int mount))
{
	struct each_mount each = { search, fn };

	return mountinfo_each(search->pid, visit_mount, &each);
}

static int ask(struct search *search, int mount)
{
	return has_name(search, mount);
}

static int look(struct search *search, int mount)
{
	return look_into(mount, ".", search);
}

static int keep(int fd)
{
	int *grown = realloc(kept, (kept_count + 1) * sizeof(*grown));

	if (!grown) {
		close(fd);
		return -ENOMEM;
	}
	kept = grown;
	kept[kept_count++] = fd;
	return 0;
}

static int name_watch(struct search *search, int fd)
{
	int ret = each_mount(search, ask);

	/* A removed file that is still open travels with its descriptor, and CRIU finds it there. */
	if (ret || search->is_removed || !search->has_mount)
		return ret < 0 ? ret : 0;
	ret = each_mount(search, look);
	if (ret == 1)
		return keep(search->found);
	if (ret && ret != -E2BIG)
		return ret;
	log_fail("unsupported",
		 "process %d watches a file (inotify, descriptor %d, inode %lu) whose name cannot be found%s; close the watch, or watch the directory",
		 search->pid, fd, (unsigned long)search->watch->inode,
		 ret ? ": its volume has too many files" : "");
	return -EOPNOTSUPP;
}

static int name_watches(pid_t pid, int fd, const char *link, void *arg)
{
	struct search search;
	char name[32], *line = NULL;
	size_t size = 0;
	FILE *file;
	int ret = 0;

	if (strcmp(link, "anon_inode:inotify"))
		return 0;
	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	file = task_open(pid, name);
	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		struct watch watch;

		ret = watch_parse(line, &watch);
		if (!ret && watch.handle_type != OVERLAY_HANDLE) {
			search = (struct search){
				.watch = &watch, .pid = pid, .root = *(int *)arg, .found = -1,
			};
			ret = name_watch(&search, fd);
		} else if (ret == -ENOENT) {
			ret = 0;
		}
	}
	free(line);
	fclose(file);
	return ret;
}

int watches_name(pid_t pid)
{
	char path[32];
	int root, ret;

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		ret = -errno;
	} else {
		ret = task_each_fd(pid, name_watches, &root);
		close(root);
	}
	if (ret && ret != -EOPNOTSUPP)
		log_fail("kernel", "what process %d watches is not known: %s", pid, strerror(-ret));
	return ret;
}

void watches_end(void)
{
	while (kept_count)
		close(kept[--kept_count]);
	free(kept);
	kept = NULL;
}

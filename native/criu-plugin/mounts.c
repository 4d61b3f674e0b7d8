// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "in_mount_namespace.h"
#include "log.h"
#include "mountinfo.h"
#include "mounts.h"

/* All that an option of a mount can say. */
#define ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | \
		    MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | \
		    MOUNT_ATTR_NOSYMFOLLOW)

static int add_mount(PB(Settings) *settings, const char *path, const char *options)
{
	PB(Mount) *mount = calloc(1, sizeof(*mount));
	int ret = -ENOMEM;

	if (!mount)
		return ret;
	sealift__ibverbs__mount__init(mount);
	mount->path = strdup(path);
	mount->options = strdup(options);
	if (mount->path && mount->options)
		ret = image_append(&settings->mounts, &settings->n_mounts, mount);
	if (ret)
		sealift__ibverbs__mount__free_unpacked(mount, NULL);
	return ret;
}

static int record(const struct mountinfo_line *line, void *settings)
{
	return add_mount(settings, line->path, line->options);
}

int mounts_read(pid_t pid, PB(Settings) *settings)
{
	return mountinfo_each(pid, record, settings);
}

/* The uppermost mount of a path, as recorded and as it is now. */
struct pair {
	const PB(Mount) *wanted;
	uint64_t id;		/* 0: there is none */
	uint64_t attributes;
};

struct pairs {
	struct pair *items;
	size_t count;
};

static int pair_up(const PB(Settings) *settings, struct pairs *pairs)
{
	pairs->items = calloc(settings->n_mounts + 1, sizeof(*pairs->items));
	if (!pairs->items)
		return -ENOMEM;
	for (size_t i = 0; i < settings->n_mounts; i++) {
		size_t at = 0;

		while (at < pairs->count &&
		       strcmp(pairs->items[at].wanted->path, settings->mounts[i]->path))
			at++;
		pairs->items[at].wanted = settings->mounts[i];
		pairs->count += at == pairs->count;
	}
	return 0;
}

static int see(const struct mountinfo_line *line, void *arg)
{
	struct pairs *pairs = arg;

	for (size_t i = 0; i < pairs->count; i++)
		if (!strcmp(pairs->items[i].wanted->path, line->path)) {
			pairs->items[i].id = line->id;
			pairs->items[i].attributes = mountinfo_attributes(line->options);
		}
	return 0;
}

static bool is_right(const struct pair *pair)
{
	return pair->id && pair->attributes == mountinfo_attributes(pair->wanted->options);
}

/* Runs in the mount namespace. */
static int set_attributes(void *arg)
{
	const struct pairs *pairs = arg;
	int ret = 0;

	for (size_t i = 0; i < pairs->count && !ret; i++) {
		struct mount_attr attr = {
			.attr_clr = ATTRIBUTES,
			.attr_set = mountinfo_attributes(pairs->items[i].wanted->options),
		};
		int fd;

		if (is_right(&pairs->items[i]))
			continue;
		fd = open_mount(pairs->items[i].wanted->path, pairs->items[i].id);
		if (fd < 0)
			return fd;
		if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
			ret = -errno;
		close(fd);
	}
	return ret;
}

int mounts_restore(pid_t pid, const PB(Settings) *settings)
{
	struct pairs pairs = {};
	bool all_right = true;
	int ret;

	ret = pair_up(settings, &pairs);
	if (!ret)
		ret = mountinfo_each(pid, see, &pairs);
	for (size_t i = 0; i < pairs.count && !ret; i++) {
		if (!pairs.items[i].id) {
			log_fail("setting", "the container's mount %s is missing",
				 pairs.items[i].wanted->path);
			ret = -ENOENT;
			goto out;
		}
		all_right &= is_right(&pairs.items[i]);
	}
	if (ret || all_right)
		goto out;
	ret = in_mount_namespace(pid, set_attributes, &pairs);
	/* What counts is what the kernel says now. */
	if (mountinfo_each(pid, see, &pairs))
		ret = -EIO;
	for (size_t i = 0; i < pairs.count; i++) {
		if (is_right(&pairs.items[i]))
			continue;
		log_fail("setting", "the container's mount %s cannot be given its options %s again: %s",
			 pairs.items[i].wanted->path, pairs.items[i].wanted->options,
			 ret ? strerror(-ret) : "the kernel ignores them");
		ret = ret ? ret : -EIO;
		goto out;
	}
	ret = 0;
out:
	free(pairs.items);
	return ret;
}

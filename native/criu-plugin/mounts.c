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
#include "mounts.h"
#include "tasks.h"

/* All that an option of a mount can say. */
#define ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | \
		    MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | \
		    MOUNT_ATTR_NOSYMFOLLOW)

static const struct {
	const char *name;
	uint64_t attribute;
} known[] = {
	{ "ro", MOUNT_ATTR_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW },
};

static bool has_option(const char *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, length) && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

uint64_t mount_attributes(const char *options)
{
	uint64_t attributes = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (has_option(options, known[i].name))
			attributes |= known[i].attribute;
	/* show_mnt_opts() says nothing of a strict one. */
	if (!has_option(options, "relatime") && !has_option(options, "noatime"))
		attributes |= MOUNT_ATTR_STRICTATIME;
	return attributes;
}

void mount_unescape(char *path)
{
	char *to = path;

	for (char *from = path; *from; to++) {
		unsigned int code;

		if (sscanf(from, "\\%3o", &code) == 1) {
			*to = code;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

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

struct mount_line {
	uint64_t id;
	char *path, *options;
};

static int each_mount(pid_t pid, int (*fn)(const struct mount_line *line, void *arg), void *arg)
{
	FILE *file = task_open(pid, "mountinfo");
	char *text = NULL, *save;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	/* id, parent, device, root, mount point, options (proc_pid_mountinfo(5)). */
	while (!ret && getline(&text, &size, file) > 0) {
		char *words[6];
		int n = 0;

		for (char *word = strtok_r(text, " \n", &save); word && n < 6;
		     word = strtok_r(NULL, " \n", &save))
			words[n++] = word;
		if (n == 6)
			ret = fn(&(struct mount_line){ strtoull(words[0], NULL, 10), words[4],
						       words[5] }, arg);
	}
	free(text);
	fclose(file);
	return ret;
}

static int record(const struct mount_line *line, void *settings)
{
	return add_mount(settings, line->path, line->options);
}

int mounts_read(pid_t pid, PB(Settings) *settings)
{
	return each_mount(pid, record, settings);
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

static int see(const struct mount_line *line, void *arg)
{
	struct pairs *pairs = arg;

	for (size_t i = 0; i < pairs->count; i++)
		if (!strcmp(pairs->items[i].wanted->path, line->path)) {
			pairs->items[i].id = line->id;
			pairs->items[i].attributes = mount_attributes(line->options);
		}
	return 0;
}

static bool is_right(const struct pair *pair)
{
	return pair->id && pair->attributes == mount_attributes(pair->wanted->options);
}

/* Runs in the mount namespace. */
static int set_attributes(void *arg)
{
	const struct pairs *pairs = arg;
	int ret = 0;

	for (size_t i = 0; i < pairs->count && !ret; i++) {
		struct mount_attr attr = {
			.attr_clr = ATTRIBUTES,
			.attr_set = mount_attributes(pairs->items[i].wanted->options),
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
		ret = each_mount(pid, see, &pairs);
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
	if (each_mount(pid, see, &pairs))
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

// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "memory_advice.h"
#include "mounts.h"
#include "settings.h"
#include "socket_options.h"
#include "tasks.h"

static struct settings_images images;

int settings_restore_begin(int dir)
{
	bool own_cgroups = false;
	int ret;

	ret = image_read_all_settings(dir, &images);
	if (!ret && !images.count) {
		log_fail("image-missing", "the settings of the processes");
		ret = -ENOENT;
	}
	if (ret)
		return ret;
	for (size_t i = 0; i < images.count; i++)
		own_cgroups |= images.items[i]->cgroup_namespace;
	/* runc has moved CRIU to the container's cgroup, which becomes the root of what the container sees. */
	if (own_cgroups && unshare(CLONE_NEWCGROUP)) {
		ret = -errno;
		log_fail("setting", "the container cannot have a cgroup namespace of its own: %s",
			 strerror(-ret));
		return ret;
	}
	/* The keys of whoever started runc are none of the container's. The source's own are lost. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) {
		ret = -errno;
		log_fail("setting", "the container cannot have a session keyring of its own: %s",
			 strerror(-ret));
	}
	return ret;
}

void settings_restore_end(void)
{
	image_forget_settings(&images);
}

static const PB(Settings) *image_of(uint32_t inner)
{
	for (size_t i = 0; i < images.count; i++)
		if (images.items[i]->pid == inner)
			return images.items[i];
	return NULL;
}

/* Whatever differs. What follows a recorded list can't be more than that: both come from the same code. */
static int compare(pid_t tid, const PB(Thread) *wanted, const PB(Thread) *now)
{
	for (size_t i = 0; i < wanted->n_settings; i++) {
		const PB(Setting) *before = wanted->settings[i];
		const PB(Setting) *after = settings_find(now, before->name);
		int ret;

		if (after && !strcmp(before->value, after->value))
			continue;
		ret = settings_put_back(tid, before);
		if (!ret)
			continue;
		log_fail("setting", "thread %u of the container has lost its %s (%.100s; now %.100s)%s",
			 wanted->tid, before->name, before->value, after ? after->value : "none",
			 ret == -ENODEV ? "; choose a node that has these processors" : "");
		return ret == -ENOTSUP ? -EPERM : ret;
	}
	return 0;
}

static int restore_thread(pid_t tid, bool leader, const PB(Settings) *settings)
{
	const PB(Thread) *wanted = NULL;
	PB(Thread) now;
	uint32_t inner;
	int ret;

	ret = task_inner_pid(tid, &inner);
	if (ret)
		return ret;
	for (size_t i = 0; i < settings->n_threads && !wanted; i++)
		if (settings->threads[i]->tid == inner)
			wanted = settings->threads[i];
	if (!wanted) {
		log_fail("image-damaged", "the images have no settings of thread %u", inner);
		return -EINVAL;
	}
	sealift__ibverbs__thread__init(&now);
	ret = settings_read_thread(tid, leader, &now);
	if (!ret)
		ret = compare(tid, wanted, &now);
	for (size_t i = 0; i < now.n_settings; i++)
		sealift__ibverbs__setting__free_unpacked(now.settings[i], NULL);
	free(now.settings);
	return ret;
}

static int restore_other(pid_t tid, void *settings)
{
	return restore_thread(tid, false, settings);
}

static int restore_process(pid_t pid)
{
	const PB(Settings) *settings;
	uint32_t inner;
	int ret;

	ret = task_inner_pid(pid, &inner);
	if (ret)
		return ret;
	settings = image_of(inner);
	if (!settings) {
		log_fail("image-missing", "settings-%u.img", inner);
		return -ENOENT;
	}
	/* First the memory: a personality may change what mmap(2) does. Last the seals. */
	ret = memory_advice_restore(pid, settings);
	if (!ret)
		ret = restore_thread(pid, true, settings);
	if (!ret)
		ret = task_each_thread(pid, restore_other, (void *)settings);
	if (!ret)
		ret = mounts_restore(pid, settings);
	if (!ret)
		ret = socket_options_restore(pid, settings);
	return ret ? ret : memory_advice_seal(pid, settings);
}

int settings_restore(const pid_t *tree, size_t count)
{
	int ret = 0;

	/* Of a dump without the plugin there is nothing to compare with. */
	if (!images.count || !count)
		return 0;
	ret = mounts_cover(tree[0], getenv("SEALIFT_MASKED_PATHS"),
			   getenv("SEALIFT_READONLY_PATHS"));
	for (size_t i = 0; i < count && !ret; i++)
		ret = restore_process(tree[i]);
	return ret;
}

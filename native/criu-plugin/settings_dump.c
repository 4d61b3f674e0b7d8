// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "memory_advice.h"
#include "mounts.h"
#include "settings.h"
#include "socket_options.h"
#include "tasks.h"

/* Mount namespaces that are recorded already. */
static ino_t *recorded;
static size_t recorded_count;

/* A namespace of the process; 0 if it is CRIU's own. */
static int namespace_of(pid_t pid, const char *name, ino_t *number)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	if (stat(path, &other))
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (stat(path, &own))
		return -errno;
	*number = own.st_ino == other.st_ino ? 0 : other.st_ino;
	return 0;
}

static int record_mounts(pid_t pid, PB(Settings) *settings)
{
	ino_t number, *grown;
	int ret;

	ret = namespace_of(pid, "mnt", &number);
	if (ret || !number)
		return ret;
	for (size_t i = 0; i < recorded_count; i++)
		if (recorded[i] == number)
			return 0;
	grown = realloc(recorded, (recorded_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	recorded = grown;
	recorded[recorded_count++] = number;
	return mounts_read(pid, settings);
}

static int record_thread(pid_t tid, bool leader, PB(Settings) *settings)
{
	PB(Thread) *thread = calloc(1, sizeof(*thread));
	int ret;

	if (!thread)
		return -ENOMEM;
	sealift__ibverbs__thread__init(thread);
	ret = task_inner_pid(tid, &thread->tid);
	if (!ret)
		ret = settings_read_thread(tid, leader, thread);
	if (!ret)
		ret = image_append(&settings->threads, &settings->n_threads, thread);
	if (ret)
		sealift__ibverbs__thread__free_unpacked(thread, NULL);
	return ret;
}

static int record_other(pid_t tid, void *settings)
{
	return record_thread(tid, false, settings);
}

static int record(pid_t pid, PB(Settings) *settings)
{
	ino_t cgroups;
	int ret;

	ret = task_inner_pid(pid, &settings->pid);
	if (!ret)
		ret = namespace_of(pid, "cgroup", &cgroups);
	if (ret)
		return ret;
	settings->cgroup_namespace = cgroups != 0;
	ret = record_thread(pid, true, settings);
	if (!ret)
		ret = task_each_thread(pid, record_other, settings);
	if (!ret)
		ret = record_mounts(pid, settings);
	if (!ret)
		ret = socket_options_read(pid, settings);
	return ret ? ret : memory_advice_read(pid, settings);
}

int settings_dump_begin(int dir)
{
	int ret = image_remove_all_settings(dir);

	if (ret)
		log_fail("image-write", "an earlier dump's images cannot be removed: %s",
			 strerror(-ret));
	return ret;
}

int settings_dump_task(int dir, pid_t pid)
{
	PB(Settings) *settings = calloc(1, sizeof(*settings));
	int ret;

	if (!settings)
		return -ENOMEM;
	sealift__ibverbs__settings__init(settings);
	ret = record(pid, settings);
	if (ret && ret != -ECANCELED)
		log_fail("kernel", "the settings of process %d are not known: %s", pid,
			 strerror(-ret));
	if (!ret)
		ret = image_write_settings(dir, settings);
	sealift__ibverbs__settings__free_unpacked(settings, NULL);
	return ret;
}

void settings_dump_end(void)
{
	free(recorded);
	recorded = NULL;
	recorded_count = 0;
}

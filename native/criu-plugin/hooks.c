// SPDX-License-Identifier: GPL-2.0
/* What CRIU calls, and nothing else: each hook hands on to the file that does it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <criu/criu-plugin.h>

#include "ahead.h"
#include "confinement.h"
#include "dump.h"
#include "dump_files.h"
#include "eventfds.h"
#include "late.h"
#include "log.h"
#include "outcome.h"
#include "restore.h"
#include "settings.h"
#include "sockets.h"
#include "unrestorable.h"
#include "unshared.h"
#include "watches.h"

#define PLUGIN_NAME "ibverbs_plugin"
#define UVERBS_PREFIX "/dev/infiniband/uverbs"

/* Of the criu binary: what the image's inventory says about plugins. */
int add_inventory_plugin(const char *name);
bool check_and_remove_inventory_plugin(const char *name, size_t size);

static bool has_agent(void)
{
	const char *path = getenv("SEALIFT_SOCKET");

	return path && *path;
}

/* Only for criu on its own; an agent that drives it over RPC holds and resumes the device itself. */
static bool left_running(void)
{
	char buffer[4096];
	FILE *file = fopen("/proc/self/cmdline", "re");
	bool found = false;
	size_t n;

	if (!file)
		return false;
	n = fread(buffer, 1, sizeof(buffer) - 1, file);
	fclose(file);
	buffer[n] = 0;
	for (const char *p = buffer; p < buffer + n; p += strlen(p) + 1)
		found |= !strcmp(p, "-R") || !strcmp(p, "--leave-running");
	return found;
}

static int begin_stage(int stage)
{
	bool listed;
	int ret;

	if (stage == CR_PLUGIN_STAGE__DUMP) {
		/* Listed even without RDMA, so that such a container passes the gate too. */
		if (add_inventory_plugin(PLUGIN_NAME))
			return -1;
		ret = settings_dump_begin(criu_get_image_dir());
		return ret ? ret : dump_begin(has_agent());
	}
	listed = check_and_remove_inventory_plugin(PLUGIN_NAME, strlen(PLUGIN_NAME));
	ret = listed ? settings_restore_begin(criu_get_image_dir()) : 0;
	return ret ? ret : restore_begin(listed, has_agent());
}

static int begin(int stage)
{
	int ret;

	if (stage != CR_PLUGIN_STAGE__DUMP && stage != CR_PLUGIN_STAGE__RESTORE)
		return 0;
	ret = outcome_begin();
	if (!ret && stage == CR_PLUGIN_STAGE__DUMP) {
		/* sealift-guard makes CRIU give up by a limit on its files. Only the error tells CRIU to clean up. */
		signal(SIGXFSZ, SIG_IGN);
		ret = ahead_wait();
	}
	if (!ret)
		ret = begin_stage(stage);
	/* CRIU does not call end() of a plugin that could not begin. */
	if (ret)
		outcome_end(NULL);
	return ret;
}

/*
 * Of a restore, CRIU calls this with 0 only after it has detached from every task (cr_restore_tasks(), after
 * restore_root_task(), whose last step that can fail is finalize_restore_detach()).
 */
static void end(int stage, int ret)
{
	switch (stage) {
	case CR_PLUGIN_STAGE__DUMP:
		if (!ret)
			ret = dump_files_finish();
		dump_end(ret || left_running());
		settings_dump_end();
		watches_end();
		sockets_forget();
		outcome_end(ret ? NULL : "dumped");
		break;
	case CR_PLUGIN_STAGE__RESTORE:
		restore_end();
		settings_restore_end();
		outcome_end(ret || late_failed() ? NULL : "detached");
		/* CRIU may not have noticed that its tasks are dead: its exit status says so to its caller. */
		if (late_failed() && !ret)
			_exit(1);
		break;
	}
}

static int dump_ext_file(int fd, int id)
{
	return dump_file(fd, id);
}

static int checkpoint_devices(int pid)
{
	int ret = unshared_check(pid);

	if (!ret)
		ret = eventfds_check(pid);
	/* Before the question for Landlock: a thread with deadlines makes no other one. */
	if (!ret)
		ret = unrestorable_check(pid);
	if (!ret)
		ret = sockets_check(pid);
	if (!ret)
		ret = confinement_check(pid);
	if (!ret)
		ret = settings_dump_task(criu_get_image_dir(), pid);
	if (!ret)
		ret = watches_name(pid);
	return ret ? ret : dump_task(pid);
}

/* Also called before a dump, in pre-dump rounds, so it decides by the file alone. */
static int handle_device_vma(int fd, const struct stat *st)
{
	char path[64], link[512];
	ssize_t n;

	if (!S_ISCHR(st->st_mode))
		return -ENOTSUP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -ENOTSUP;
	link[n] = 0;
	return strncmp(link, UVERBS_PREFIX, strlen(UVERBS_PREFIX)) ? -ENOTSUP : 0;
}

static int restore_ext_file(int id)
{
	return restore_file(id);
}

static int update_vma_map(const char *path, const uint64_t address, const uint64_t old_offset,
			  uint64_t *new_offset, int *plugin_fd)
{
	int ret = restore_placeholder(path, new_offset, plugin_fd);

	(void)address;
	(void)old_offset;
	return ret ? ret : 1;
}

static int resume_devices_late(int pid)
{
	return late_resume(pid);
}

CR_PLUGIN_REGISTER(PLUGIN_NAME, begin, end)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_FILE, dump_ext_file)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, checkpoint_devices)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA, handle_device_vma)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, restore_ext_file)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__UPDATE_VMA_MAP, update_vma_map)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESUME_DEVICES_LATE, resume_devices_late)

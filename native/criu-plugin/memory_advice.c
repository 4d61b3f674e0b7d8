// SPDX-License-Identifier: GPL-2.0
/*
 * Memory marked MADV_WIPEONFORK or mapped MAP_DROPPABLE. CRIU 4.1.1 restores both as plain memory; the plugin restores
 * the marks. Without them a random generator that keeps its state there (the C library's does) goes on with the same
 * state in a forked process, and in two copies of a checkpoint.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "inject.h"
#include "log.h"
#include "memory_advice.h"
#include "tasks.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static int add(PB(Settings) *settings, uint64_t start, uint64_t end, bool droppable)
{
	PB(Advice) *advice = calloc(1, sizeof(*advice));
	int ret;

	if (!advice)
		return -ENOMEM;
	sealift__ibverbs__advice__init(advice);
	advice->start = start;
	advice->end = end;
	advice->droppable = droppable;
	ret = image_append(&settings->advice, &settings->n_advice, advice);
	if (ret)
		free(advice);
	return ret;
}

static bool has_flag(const char *flags, const char *flag)
{
	const char *at = strstr(flags, flag);

	return at && (at[2] == ' ' || at[2] == '\n' || !at[2]);
}

int memory_advice_read(pid_t pid, PB(Settings) *settings)
{
	unsigned long long start = 0, end = 0;
	FILE *file = task_open(pid, "smaps");
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		unsigned long long from, to;

		/* Of one map: the address line comes first. */
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
			start = from;
			end = to;
		}
		if (strncmp(line, "VmFlags:", 8))
			continue;
		/* A droppable one is wiped too. */
		if (has_flag(line + 8, "dp"))
			ret = add(settings, start, end, true);
		else if (has_flag(line + 8, "wf"))
			ret = add(settings, start, end, false);
	}
	free(line);
	fclose(file);
	return ret;
}

struct place {
	uint64_t start;
	uint32_t protection;
	bool found;
};

static int find_place(pid_t pid, const struct task_map *map, void *arg)
{
	struct place *place = arg;

	(void)pid;
	if (map->start > place->start || map->end <= place->start)
		return 0;
	place->protection = map->protection;
	place->found = true;
	return 1;
}

/* Its content may be lost at any time, so it is not restored: whoever uses it begins anew. */
static int64_t map_droppable(struct inject *inject, const PB(Advice) *advice)
{
	struct place place = { .start = advice->start };
	int64_t at;

	if (task_each_map(inject->pid, find_place, &place) < 0 || !place.found)
		return -ENOENT;
	at = inject_syscall(inject, SYS_mmap, advice->start, advice->end - advice->start,
			    place.protection, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return at == (int64_t)advice->start ? 0 : at;
}

static int64_t restore_one(struct inject *inject, const PB(Advice) *advice)
{
	if (advice->droppable)
		return map_droppable(inject, advice);
	return inject_syscall(inject, SYS_madvise, advice->start, advice->end - advice->start,
			      MADV_WIPEONFORK, 0, 0, 0);
}

int memory_advice_restore(pid_t pid, const PB(Settings) *settings)
{
	struct inject inject;
	int64_t ret;
	int end;

	if (!settings->n_advice)
		return 0;
	ret = inject_begin(&inject, pid);
	if (ret)
		return ret;
	for (size_t i = 0; i < settings->n_advice && !ret; i++)
		ret = restore_one(&inject, settings->advice[i]);
	end = inject_end(&inject);
	ret = ret ? ret : end;
	if (ret)
		log_fail("setting", "memory of process %u that a fork empties cannot be made so again: %s",
			 settings->pid, strerror(-ret));
	return ret;
}

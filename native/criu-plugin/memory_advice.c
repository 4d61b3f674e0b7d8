// SPDX-License-Identifier: GPL-2.0
/*
 * Memory marked MADV_WIPEONFORK, mapped MAP_DROPPABLE or sealed with mseal(2). CRIU 4.1.1 restores all as plain memory;
 * the plugin restores the marks. Without the first two a random generator that keeps its state there (the C library's
 * does) goes on with the same state in a forked process, and in two copies of a checkpoint. Without the third an
 * attacker may make code writable that the process had taken care to seal.
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
#ifndef SYS_mseal
#define SYS_mseal 462
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

static int add_sealed(PB(Settings) *settings, uint64_t start, uint64_t end)
{
	PB(Sealed) *last = settings->n_sealed ? settings->sealed[settings->n_sealed - 1] : NULL;
	PB(Sealed) *sealed;
	int ret;

	if (last && last->end == start) {
		last->end = end;
		return 0;
	}
	sealed = calloc(1, sizeof(*sealed));
	if (!sealed)
		return -ENOMEM;
	sealift__ibverbs__sealed__init(sealed);
	sealed->start = start;
	sealed->end = end;
	ret = image_append(&settings->sealed, &settings->n_sealed, sealed);
	if (ret)
		free(sealed);
	return ret;
}

static bool has_flag(const char *flags, const char *flag)
{
	const char *at = strstr(flags, flag);

	return at && (at[2] == ' ' || at[2] == '\n' || !at[2]);
}

/* A map's line of addresses, and what it may be used for ("rw-p"). */
struct map {
	unsigned long long start, end;
	char access[5];
};

static int read_flags(const struct map *map, const char *flags, PB(Settings) *settings)
{
	bool sealed = has_flag(flags, "sl");
	int ret = 0;

	/* CRIU makes it readable to read it, and the kernel refuses that. */
	if (sealed && map->access[0] != 'r' && map->access[3] == 'p') {
		log_fail("unsupported", "process %u of the container has memory that it has sealed (mseal) and may not read, which cannot be dumped: let it leave what is at %llx readable or unsealed",
			 settings->pid, map->start);
		return -ECANCELED;
	}
	/* A droppable one is wiped too. */
	if (has_flag(flags, "dp"))
		ret = add(settings, map->start, map->end, true);
	else if (has_flag(flags, "wf"))
		ret = add(settings, map->start, map->end, false);
	return ret || !sealed ? ret : add_sealed(settings, map->start, map->end);
}

int memory_advice_read(pid_t pid, PB(Settings) *settings)
{
	FILE *file = task_open(pid, "smaps");
	struct map map = {};
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		struct map found;

		/* Of one map: the address line comes first. */
		if (sscanf(line, "%llx-%llx %4s ", &found.start, &found.end, found.access) == 3)
			map = found;
		else if (!strncmp(line, "VmFlags:", 8))
			ret = read_flags(&map, line + 8, settings);
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

int memory_advice_seal(pid_t pid, const PB(Settings) *settings)
{
	struct inject inject;
	int64_t ret;
	int end;

	if (!settings->n_sealed)
		return 0;
	ret = inject_begin_quietly(&inject, pid);
	if (ret)
		return ret;
	for (size_t i = 0; i < settings->n_sealed && !ret; i++) {
		const PB(Sealed) *sealed = settings->sealed[i];

		ret = inject_syscall(&inject, SYS_mseal, sealed->start, sealed->end - sealed->start, 0, 0, 0, 0);
	}
	end = inject_end(&inject);
	ret = ret ? ret : end;
	if (ret)
		log_fail("setting", "memory of process %u cannot be sealed again: %s", settings->pid,
			 ret == -ENOSYS ? "this kernel has no mseal()" : strerror(-ret));
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Which mapped queue belongs to which object: the driver hands out an offset
 * per ring that is unique on the device, and the mapping still has it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dump_mapping.h"
#include "log.h"
#include "tasks.h"

struct mapping {
	struct task_map map;
	uint32_t inner;
	dev_t device;
	bool placed;
};

static struct mapping *mappings;
static size_t mapping_count;

static struct {
	uint32_t inner;
	pid_t pid;
} *processes;
static size_t process_count;

static int collect(pid_t pid, const struct task_map *map, void *arg)
{
	struct mapping *grown;
	char path[96];
	struct stat st;

	if (strncmp(map->path, "/dev/infiniband/uverbs", 22))
		return 0;
	/* The path may lead elsewhere in our mount namespace; this leads to the file itself. */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid,
		 (unsigned long long)map->start, (unsigned long long)map->end);
	if (stat(path, &st)) {
		log_fail("kernel", "%s: %s", path, strerror(errno));
		return -errno;
	}
	grown = realloc(mappings, (mapping_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	mappings = grown;
	mappings[mapping_count++] = (struct mapping){
		.map = *map,
		.inner = *(uint32_t *)arg,
		.device = st.st_rdev,
	};
	return 0;
}

int dump_collect_mappings(pid_t pid, uint32_t inner)
{
	void *grown = realloc(processes, (process_count + 1) * sizeof(*processes));

	if (!grown)
		return -ENOMEM;
	processes = grown;
	processes[process_count].inner = inner;
	processes[process_count++].pid = pid;
	return task_each_map(pid, collect, &inner);
}

size_t dump_process_count(void)
{
	return process_count;
}

pid_t dump_process_at(size_t n, uint32_t *inner)
{
	*inner = processes[n].inner;
	return processes[n].pid;
}

static int compare_rings(const void *a, const void *b)
{
	const struct ring *one = a, *two = b;

	return (one->offset > two->offset) - (one->offset < two->offset);
}

/* Of rings that are sorted. */
static struct ring *ring_of(const struct dumped *dumped, const struct mapping *mapping)
{
	struct ring wanted = { .offset = mapping->map.offset };

	if (mapping->device != dumped->device || !dumped->rings.count)
		return NULL;
	return bsearch(&wanted, dumped->rings.items, dumped->rings.count, sizeof(wanted),
		       compare_rings);
}

static int place(struct dumped *dumped, struct mapping *mapping, struct ring *ring)
{
	PB(Context) *context = dumped->context;
	PB(Mapping) *record;
	int ret;

	if (mapping->map.end - mapping->map.start != ring->size) {
		log_fail("unsupported",
			 "process %u has mapped a part of a queue only; unmap it or map the whole",
			 mapping->inner);
		return -EOPNOTSUPP;
	}
	/* One process's mappings come in a row. */
	if (ring->last && ring->last->pid == mapping->inner) {
		log_fail("unsupported",
			 "process %u has mapped the queue of handle %u twice, at %#llx and %#llx; unmap one",
			 mapping->inner, ring->handle, (unsigned long long)ring->last->address,
			 (unsigned long long)mapping->map.start);
		return -EOPNOTSUPP;
	}
	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	sealift__ibverbs__mapping__init(record);
	record->pid = mapping->inner;
	record->address = mapping->map.start;
	record->length = ring->size;
	record->protection = mapping->map.protection;
	record->ring = ring->kind;
	record->handle = ring->handle;
	ret = image_append(&context->mappings, &context->n_mappings, record);
	if (ret) {
		free(record);
		return ret;
	}
	ring->last = record;
	mapping->placed = true;
	return 0;
}

int dump_place_mappings(struct dumped *dumped)
{
	int ret = 0;

	if (dumped->rings.count)
		qsort(dumped->rings.items, dumped->rings.count, sizeof(*dumped->rings.items),
		      compare_rings);
	for (size_t i = 0; i < mapping_count && !ret; i++) {
		struct ring *ring = ring_of(dumped, &mappings[i]);

		if (ring)
			ret = place(dumped, &mappings[i], ring);
	}
	return ret;
}

int dump_all_mappings_placed(void)
{
	for (size_t i = 0; i < mapping_count; i++) {
		if (mappings[i].placed)
			continue;
		log_fail("unsupported",
			 "process %u has mapped %s at %#llx but does not have its context open; unmap it",
			 mappings[i].inner, mappings[i].map.path,
			 (unsigned long long)mappings[i].map.start);
		return -EOPNOTSUPP;
	}
	return 0;
}

void dump_forget_mappings(void)
{
	free(mappings);
	mappings = NULL;
	mapping_count = 0;
	free(processes);
	processes = NULL;
	process_count = 0;
}

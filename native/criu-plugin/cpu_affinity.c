// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_affinity.h"
#include "tasks.h"

#define CPUS_MAX 8192
#define CGROUPS "/sys/fs/cgroup"

struct cpus {
	unsigned char has[CPUS_MAX];
};

/* "0-3,8" (kernel documentation, core-api/printk-formats, %*pbl). */
static int parse(const char *text, struct cpus *cpus)
{
	memset(cpus, 0, sizeof(*cpus));
	while (*text && *text != '\n') {
		char *end;
		unsigned long from = strtoul(text, &end, 10), to = from;

		if (end == text)
			return -EINVAL;
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		if (to < from || to >= CPUS_MAX || (*end && *end != ',' && *end != '\n'))
			return -EINVAL;
		memset(cpus->has + from, 1, to - from + 1);
		text = *end == ',' ? end + 1 : end;
	}
	return 0;
}

static int format(const struct cpus *cpus, char *text, size_t size)
{
	size_t used = 0;

	*text = 0;
	for (int from = 0; from < CPUS_MAX; from++) {
		int to = from;

		if (!cpus->has[from])
			continue;
		while (to + 1 < CPUS_MAX && cpus->has[to + 1])
			to++;
		used += to > from ?
			snprintf(text + used, size - used, "%s%d-%d", used ? "," : "", from, to) :
			snprintf(text + used, size - used, "%s%d", used ? "," : "", from);
		if (used >= size)
			return -ENAMETOOLONG;
		from = to;
	}
	return 0;
}

static int get(pid_t tid, struct cpus *cpus)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	int ret = 0;

	if (!set)
		return -ENOMEM;
	if (sched_getaffinity(tid, size, set))
		ret = -errno;
	for (int i = 0; i < CPUS_MAX && !ret; i++)
		cpus->has[i] = CPU_ISSET_S(i, size, set) != 0;
	CPU_FREE(set);
	return ret;
}

static int set(pid_t tid, const struct cpus *cpus)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	int ret = 0;

	if (!set)
		return -ENOMEM;
	CPU_ZERO_S(size, set);
	for (int i = 0; i < CPUS_MAX; i++)
		if (cpus->has[i])
			CPU_SET_S(i, size, set);
	if (sched_setaffinity(tid, size, set))
		ret = -errno;
	CPU_FREE(set);
	return ret;
}

static int read_list(const char *path, struct cpus *cpus)
{
	char text[CPU_LIST_SIZE] = "";
	FILE *file = fopen(path, "re");
	int ret;

	if (!file)
		return -errno;
	ret = fgets(text, sizeof(text), file) && *text != '\n' ? parse(text, cpus) : -ENODATA;
	fclose(file);
	return ret;
}

/* Those that run, each with a line in /proc/stat. */
static int read_online(struct cpus *cpus)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[4096];
	unsigned int n;

	if (!file)
		return -errno;
	memset(cpus, 0, sizeof(*cpus));
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "cpu%u ", &n) == 1 && n < CPUS_MAX)
			cpus->has[n] = 1;
	fclose(file);
	return 0;
}

/* The thread's cgroup in the unified hierarchy. */
static int cgroup_of(pid_t tid, char *path, size_t size)
{
	FILE *file = task_open(tid, "cgroup");
	char line[PATH_MAX];
	int ret = -ENOENT;

	if (!file)
		return -errno;
	while (ret && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::/", 4)) {
			line[strcspn(line, "\n")] = 0;
			ret = snprintf(path, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
		}
	fclose(file);
	return ret;
}

/* Where the thread may run at most: of its cgroup, or the nearest above that has the controller, or the node's. */
static int allowed(pid_t tid, struct cpus *cpus)
{
	char path[PATH_MAX], file[PATH_MAX + 64];

	if (!cgroup_of(tid, path, sizeof(path))) {
		for (;;) {
			char *slash = strrchr(path, '/');

			snprintf(file, sizeof(file), CGROUPS "%s/cpuset.cpus.effective", path);
			if (!read_list(file, cpus))
				return 0;
			if (!slash)
				break;
			*slash = 0;
		}
	}
	return read_online(cpus);
}

int cpu_affinity_read(pid_t tid, char *text)
{
	struct cpus own, most;
	bool is_all = true;
	int ret;

	ret = get(tid, &own);
	if (!ret)
		ret = allowed(tid, &most);
	if (ret)
		return ret;
	for (int i = 0; i < CPUS_MAX; i++)
		is_all &= own.has[i] || !most.has[i];
	if (!is_all)
		return format(&own, text, CPU_LIST_SIZE);
	strcpy(text, CPU_ALL);
	return 0;
}

int cpu_affinity_restore(pid_t tid, const char *text)
{
	struct cpus wanted, now;
	int ret;

	if (!strcmp(text, CPU_ALL)) {
		memset(&wanted, 1, sizeof(wanted));
		return set(tid, &wanted);
	}
	ret = parse(text, &wanted);
	if (!ret)
		ret = set(tid, &wanted);
	if (!ret)
		ret = get(tid, &now);
	if (ret)
		return ret == -EINVAL ? -ENODEV : ret;
	return memcmp(&wanted, &now, sizeof(now)) ? -ENODEV : 0;
}

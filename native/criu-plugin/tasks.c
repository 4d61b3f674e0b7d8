// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "tasks.h"

FILE *task_open(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

/* The number after "Name:" in /proc/PID/status, the last one of the line. */
static int status_number(pid_t pid, const char *name, uint64_t *value)
{
	FILE *file = task_open(pid, "status");
	char line[512];
	int ret = -ENOENT;

	if (!file)
		return -errno;
	while (ret && fgets(line, sizeof(line), file)) {
		char *word, *save;

		if (strncmp(line, name, strlen(name)))
			continue;
		for (word = strtok_r(line + strlen(name), " \t\n", &save); word;
		     word = strtok_r(NULL, " \t\n", &save)) {
			if (*word < '0' || *word > '9')
				break;	/* a unit */
			*value = strtoull(word, NULL, 10);
			ret = 0;
		}
	}
	fclose(file);
	return ret;
}

int task_differs(pid_t one, pid_t other, int type)
{
	int ret = syscall(SYS_kcmp, one, other, type, 0, 0);

	/* Without the system call (CONFIG_KCMP) CRIU itself does not work. */
	if (ret < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	return ret != 0;
}

int task_pending(pid_t tid, uint64_t *signals)
{
	FILE *file = task_open(tid, "status");
	int left = 2;
	char line[512];

	if (!file)
		return -errno;
	*signals = 0;
	while (left && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "SigPnd:", 7) && strncmp(line, "ShdPnd:", 7))
			continue;
		*signals |= strtoull(line + 7, NULL, 16);
		left--;
	}
	fclose(file);
	return left ? -ENOENT : 0;
}

int task_inner_pid(pid_t pid, uint32_t *inner)
{
	uint64_t number;
	int ret = status_number(pid, "NSpid:", &number);

	if (!ret)
		*inner = number;
	return ret;
}

int task_refuse(pid_t tid, const char *what, const char *advice)
{
	uint32_t inner = 0;

	task_inner_pid(tid, &inner);
	log_fail("unsupported", "thread %u of the container %s, which cannot be restored%s%s", inner,
		 what, advice ? ": " : "", advice ? advice : "");
	return -EPERM;
}

int task_get_fd(pid_t pid, int fd)
{
	int pidfd, ret;

	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret;
}

bool task_same_file(int a, int b)
{
	pid_t self = getpid();

	return !syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
}

int task_each_fd(pid_t pid, int (*fn)(pid_t pid, int fd, const char *link, void *arg), void *arg)
{
	char path[64], link[512];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir))) {
		ssize_t n;

		if (entry->d_name[0] == '.')
			continue;
		n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = 0;
		ret = fn(pid, atoi(entry->d_name), link, arg);
	}
	closedir(dir);
	return ret;
}

int task_each_map(pid_t pid, int (*fn)(pid_t pid, const struct task_map *map, void *arg),
		  void *arg)
{
	FILE *file = task_open(pid, "maps");
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		unsigned long long start, end, offset;
		struct task_map map = {};
		char access[5];

		if (sscanf(line, "%llx-%llx %4s %llx %*s %*s %255[^\n]", &start, &end, access,
			   &offset, map.path) < 4)
			continue;
		map.start = start;
		map.end = end;
		map.offset = offset;
		map.protection = (access[0] == 'r' ? PROT_READ : 0) |
				 (access[1] == 'w' ? PROT_WRITE : 0) |
				 (access[2] == 'x' ? PROT_EXEC : 0);
		ret = fn(pid, &map, arg);
	}
	free(line);
	fclose(file);
	return ret;
}

int task_each_thread(pid_t pid, int (*fn)(pid_t tid, void *arg), void *arg)
{
	struct dirent *entry;
	char path[64];
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != pid)
			ret = fn(atoi(entry->d_name), arg);
	closedir(dir);
	return ret;
}

int task_options(pid_t tid, unsigned long more)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD | more;

	/* CRIU suspends the filters of tasks that have some; a kernel without filters knows no such option. */
	if (!ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)(options | PTRACE_O_SUSPEND_SECCOMP)))
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return -errno;
	return ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)options) ? -errno : 0;
}

int task_end_with_us(pid_t tid)
{
	return task_options(tid, PTRACE_O_EXITKILL);
}

static bool traced_by_us(pid_t pid)
{
	uint64_t tracer;

	return !status_number(pid, "TracerPid:", &tracer) && tracer == (uint64_t)getpid();
}

struct list {
	pid_t *pids;
	size_t count;
};

static int push(struct list *list, pid_t pid)
{
	pid_t *grown = realloc(list->pids, (list->count + 1) * sizeof(pid));

	if (!grown)
		return -ENOMEM;
	grown[list->count++] = pid;
	list->pids = grown;
	return 0;
}

/* Any thread of a process may have forked. */
static int push_children(struct list *list, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir))) {
		char name[400];
		FILE *file;
		int child;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s/children", path, entry->d_name);
		file = fopen(name, "re");
		if (!file)
			continue;
		while (!ret && fscanf(file, "%d", &child) == 1)
			if (traced_by_us(child))
				ret = push(list, child);
		fclose(file);
	}
	closedir(dir);
	return ret;
}

int task_tree(pid_t root, pid_t **pids)
{
	struct list list = {};
	int ret = push(&list, root);

	for (size_t i = 0; !ret && i < list.count; i++)
		ret = push_children(&list, list.pids[i]);
	if (ret) {
		free(list.pids);
		return ret;
	}
	*pids = list.pids;
	return list.count;
}

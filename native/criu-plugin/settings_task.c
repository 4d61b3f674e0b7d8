// SPDX-License-Identifier: GPL-2.0
/* What /proc and a few system calls say of a thread, and what of it can be set from outside. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_affinity.h"
#include "inject.h"
#include "settings.h"
#include "tasks.h"

#define AFFINITY "CPU affinity"
#define IO_PRIORITY "I/O priority"
#define TIMER_SLACK "timer slack"
#define CORE_FILTER "core dump filter"
#define PERSONALITY "personality"
#define IOPRIO_WHO_PROCESS 1

/* Of /proc/PID/status: what the kernel checks, and what the kernel does for the thread alone. */
static const char * const of_thread[] = {
	"Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
	"NoNewPrivs", "Seccomp", "Seccomp_filters",
};

static const char * const of_process[] = { "THP_enabled" };

/* Only what the thread has asked for: the rest follows the node's processor. */
static const char * const speculation[] = {
	"Speculation_Store_Bypass", "SpeculationIndirectBranch",
};

static int add(PB(Thread) *thread, const char *name, const char *value)
{
	PB(Setting) *setting = calloc(1, sizeof(*setting));
	int ret = -ENOMEM;

	if (!setting)
		return ret;
	sealift__ibverbs__setting__init(setting);
	setting->name = strdup(name);
	setting->value = strdup(value);
	if (setting->name && setting->value)
		ret = image_append(&thread->settings, &thread->n_settings, setting);
	if (ret)
		sealift__ibverbs__setting__free_unpacked(setting, NULL);
	return ret;
}

/* Without leading and trailing space, and with one space where there were several. */
static void squeeze(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++) {
		if (!isspace((unsigned char)*from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = 0;
}

static bool is_one_of(const char *name, const char * const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof((names)[0]))

static const char *asked_for(const char *state)
{
	bool is_own = strstr(state, "thread mitigated") || strstr(state, "thread force mitigated") ||
		      strstr(state, "conditional disabled") ||
		      strstr(state, "conditional force disabled");

	return is_own ? state : "the node's";
}

static int read_status(pid_t tid, bool leader, PB(Thread) *thread)
{
	FILE *file = task_open(tid, "status");
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		char *value = strchr(line, ':');

		if (!value)
			continue;
		*value++ = 0;
		squeeze(value);
		if (IS_ONE_OF(line, of_thread) || (leader && IS_ONE_OF(line, of_process)))
			ret = add(thread, line, value);
		else if (IS_ONE_OF(line, speculation))
			ret = add(thread, line, asked_for(value));
	}
	free(line);
	fclose(file);
	return ret;
}

/* Names, soft and hard limits stand in columns; only the first name has a width that says where it ends. */
static int read_limits(pid_t tid, PB(Thread) *thread)
{
	enum { NAME_WIDTH = 26 };
	FILE *file = task_open(tid, "limits");
	char *line = NULL, name[NAME_WIDTH + 1];
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && getline(&line, &size, file) > 0) {
		if (strncmp(line, "Max ", 4) || strlen(line) <= NAME_WIDTH)
			continue;
		memcpy(name, line, NAME_WIDTH);
		name[NAME_WIDTH] = 0;
		squeeze(name);
		squeeze(line + NAME_WIDTH);
		ret = add(thread, name, line + NAME_WIDTH);
	}
	free(line);
	fclose(file);
	return ret;
}

/* A file of one line. Without an LSM, attr/current can't be read. */
static int read_file(pid_t tid, const char *file_name, const char *name, PB(Thread) *thread)
{
	char text[4096] = "";
	FILE *file = task_open(tid, file_name);
	size_t n;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	squeeze(text);
	return *text ? add(thread, name, text) : 0;
}

static int read_io_priority(pid_t tid, PB(Thread) *thread)
{
	long priority = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
	char text[32];

	if (priority < 0)
		return errno == ENOSYS ? 0 : -errno;
	snprintf(text, sizeof(text), "%ld", priority);
	return add(thread, IO_PRIORITY, text);
}

static int read_affinity(pid_t tid, PB(Thread) *thread)
{
	char text[CPU_LIST_SIZE];
	int ret = cpu_affinity_read(tid, text);

	return ret ? ret : add(thread, AFFINITY, text);
}

int settings_read_thread(pid_t tid, bool leader, PB(Thread) *thread)
{
	int ret = read_status(tid, leader, thread);

	if (!ret)
		ret = read_file(tid, "attr/current", "LSM label", thread);
	if (!ret)
		ret = read_file(tid, "timerslack_ns", TIMER_SLACK, thread);
	if (!ret)
		ret = read_io_priority(tid, thread);
	if (!ret)
		ret = read_affinity(tid, thread);
	if (!ret)
		ret = read_file(tid, "personality", PERSONALITY, thread);
	if (!ret && leader)
		ret = read_file(tid, "oom_score_adj", "oom_score_adj", thread);
	/* Absent in a kernel without core dumps. */
	if (!ret && leader)
		ret = read_file(tid, "coredump_filter", CORE_FILTER, thread);
	if (!ret && leader)
		ret = read_limits(tid, thread);
	return ret;
}

static int write_file(pid_t tid, const char *name, const char *value)
{
	char path[64];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* The kernel shows the number in base 16, without a sign of that, and takes one with. */
static int put_back_filter(pid_t tid, const char *value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%s", value);
	return write_file(tid, "coredump_filter", text);
}

/* Only a thread itself can; the kernel shows the number in base 16. */
static int put_back_personality(pid_t tid, const char *value)
{
	struct inject inject;
	int64_t ret = inject_begin_quietly(&inject, tid);
	int end;

	if (ret)
		return ret;
	ret = inject_syscall(&inject, SYS_personality, strtoul(value, NULL, 16), 0, 0, 0, 0, 0);
	end = inject_end(&inject);
	return ret < 0 ? (int)ret : end;
}

int settings_put_back(pid_t tid, const PB(Setting) *setting)
{
	if (!strcmp(setting->name, AFFINITY))
		return cpu_affinity_restore(tid, setting->value);
	if (!strcmp(setting->name, TIMER_SLACK))
		return write_file(tid, "timerslack_ns", setting->value);
	if (!strcmp(setting->name, CORE_FILTER))
		return put_back_filter(tid, setting->value);
	if (!strcmp(setting->name, PERSONALITY))
		return put_back_personality(tid, setting->value);
	if (!strcmp(setting->name, IO_PRIORITY))
		return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, atol(setting->value)) ?
		       -errno : 0;
	return -ENOTSUP;
}

const PB(Setting) *settings_find(const PB(Thread) *thread, const char *name)
{
	for (size_t i = 0; i < thread->n_settings; i++)
		if (!strcmp(thread->settings[i]->name, name))
			return thread->settings[i];
	return NULL;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What a process gives back at its end no file tells, and that it has a list for it says little: pthread_create() makes one, and
 * so has the first process of a container, which the threads of runc have started. But what is to be given back is a number for
 * each semaphore that must not leave the range of a short, and semop(2) does all or nothing. So the process itself tries
 * operations that leave the range unless that number is 0, and the last of which never can be done.
 */
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "in_mount_namespace.h"
#include "inject.h"
#include "semaphores.h"
#include "tasks.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

/* SEMVMX and SEMAEM of the kernel. */
#define MOST SHRT_MAX
/* For each semaphore. A node may have set how many one call can do to as little as it was once, 32. */
#define OPERATIONS 7
#define AT_ONCE 4
#define VALUES_SIZE (INJECT_SCRATCH_SIZE / 2)
#define OPERATIONS_AT VALUES_SIZE

/* Lines below the heading of /proc/sysvipc/sem, which shows the reader's own namespace. 0, 1 or -errno. */
static int read_semaphores(void)
{
	FILE *file = fopen("/proc/sysvipc/sem", "re");
	char line[256];
	int lines = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (lines < 2 && fgets(line, sizeof(line), file))
		lines += strchr(line, '\n') != NULL;
	fclose(file);
	return lines > 1;
}

/* -EEXIST: there are some; an exit status has room for errors only. */
static int look(void *arg)
{
	int ret = read_semaphores();

	(void)arg;
	return ret < 0 ? -EIO : ret ? -EEXIST : 0;
}

int semaphores_any(pid_t pid)
{
	int ret = in_namespace(pid, "ipc", CLONE_NEWIPC, look, NULL);

	return ret == -EEXIST ? 1 : ret;
}

/* From @value and back into the range, with what is to be given back at either end of its own. Leaves 1. Returns their number. */
static size_t add(struct sembuf *to, unsigned short semaphore, unsigned short value)
{
	const struct sembuf all[OPERATIONS] = {
		{ .sem_op = MOST - value },
		/* Too much if there is something to be given back. */
		{ .sem_op = -MOST, .sem_flg = SEM_UNDO },
		{ .sem_op = MOST, .sem_flg = SEM_UNDO },
		{ .sem_op = -MOST },
		/* These if there is something to be taken. */
		{ .sem_op = MOST, .sem_flg = SEM_UNDO },
		{ .sem_op = -MOST },
		{ .sem_op = 1, .sem_flg = SEM_UNDO },
	};
	size_t count = 0;

	for (size_t i = 0; i < OPERATIONS; i++) {
		/* It would wait for 0. */
		if (!all[i].sem_op)
			continue;
		to[count] = all[i];
		to[count].sem_num = semaphore;
		to[count++].sem_flg |= IPC_NOWAIT;
	}
	return count;
}

/* Of @count semaphores from @first on. 0, 1 or -errno. */
static int try_some(struct inject *inject, int id, const unsigned short *values, size_t first, size_t count)
{
	struct sembuf operations[AT_ONCE * OPERATIONS + 1];
	size_t length = 0;
	int64_t ret;

	for (size_t i = first; i < first + count; i++)
		length += add(operations + length, i, values[i]);
	/* It is 1. */
	operations[length++] = (struct sembuf){ .sem_num = first, .sem_flg = IPC_NOWAIT };
	ret = inject_write_at(inject, OPERATIONS_AT, operations, length * sizeof(operations[0]));
	if (ret)
		return ret;
	ret = inject_syscall(inject, SYS_semop, id, inject->scratch + OPERATIONS_AT, length, 0, 0, 0);
	if (ret == -ERANGE)
		return 1;
	if (ret == -EAGAIN)
		return 0;
	return ret < 0 ? ret : -EPROTO;
}

static int64_t control(struct inject *inject, int id, int command)
{
	return inject_syscall(inject, SYS_semctl, id, 0, command, inject->scratch, 0, 0);
}

static int try_set(struct inject *inject, int id, size_t count)
{
	unsigned short *values;
	int64_t ret;

	if (count * sizeof(*values) > VALUES_SIZE)
		return -E2BIG;
	ret = control(inject, id, GETALL);
	if (ret < 0)
		return ret;
	values = malloc(count * sizeof(*values));
	if (!values)
		return -ENOMEM;
	ret = inject_read(inject, values, count * sizeof(*values));
	for (size_t first = 0; !ret && first < count; first += AT_ONCE)
		ret = try_some(inject, id, values, first, count - first < AT_ONCE ? count - first : AT_ONCE);
	free(values);
	return ret;
}

static int try_all(struct inject *inject)
{
	struct semid_ds set;
	int64_t last = control(inject, 0, SEM_INFO);
	int ret;

	if (last < 0)
		return last;
	for (int64_t at = 0; at <= last; at++) {
		int64_t id = control(inject, at, SEM_STAT_ANY);

		/* Nothing is there. */
		if (id == -EINVAL)
			continue;
		ret = id < 0 ? id : inject_read(inject, &set, sizeof(set));
		if (!ret)
			ret = try_set(inject, id, set.sem_nsems);
		if (ret)
			return ret;
	}
	return 0;
}

struct question {
	struct inject leader;
	pid_t found;
};

/* Threads of pthread_create() have one list. */
static int try_other(pid_t tid, void *arg)
{
	struct question *question = arg;
	struct inject inject;
	int ret, end;

	ret = task_differs(tid, question->leader.pid, KCMP_SYSVSEM);
	/* What has no list would get one. */
	if (ret > 0)
		ret = task_differs(tid, getpid(), KCMP_SYSVSEM);
	if (ret <= 0)
		return ret;
	ret = inject_begin_thread(&inject, tid, &question->leader);
	if (ret)
		return ret;
	question->found = tid;
	ret = try_all(&inject);
	end = inject_end(&inject);
	return ret ? ret : end;
}

int semaphores_held(pid_t pid, pid_t *tid)
{
	struct question question = { .found = pid };
	int ret, end;

	ret = inject_begin(&question.leader, pid);
	if (ret)
		return ret;
	ret = task_differs(pid, getpid(), KCMP_SYSVSEM);
	if (ret > 0)
		ret = try_all(&question.leader);
	if (!ret)
		ret = task_each_thread(pid, try_other, &question);
	end = inject_end(&question.leader);
	*tid = question.found;
	if (end)
		return end;
	return ret == -EPERM ? -EACCES : ret;
}

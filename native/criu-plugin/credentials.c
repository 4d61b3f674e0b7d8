// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "late_task.h"
#include "log.h"
#include "tasks.h"
#include "uverbs.h"

int late_context_fd(const PB(Context) *context, uint32_t inner)
{
	for (size_t i = 0; i < context->n_descriptors; i++)
		if (context->descriptors[i]->pid == inner)
			return context->descriptors[i]->fd;
	return -EBADF;
}

struct adoption {
	struct late_task *task;
	const struct restored *restored;
};

static int adopt_in_thread(pid_t tid, void *arg)
{
	struct adoption *adoption = arg;
	struct inject *leader = &adoption->task->inject, inject;
	struct uverbs_cmd cmd;
	int64_t ret, end;

	adoption->restored->driver->build_adopt_thread(
		&cmd, leader->scratch,
		late_context_fd(adoption->restored->context, adoption->task->inner));
	ret = inject_begin_thread(&inject, tid, leader);
	if (ret)
		return ret;
	ret = inject_write(&inject, cmd.bytes, cmd.used);
	if (!ret)
		ret = inject_syscall(&inject, SYS_ioctl,
				     late_context_fd(adoption->restored->context,
						    adoption->task->inner),
				     RDMA_VERBS_IOCTL, inject.scratch, 0, 0, 0);
	end = inject_end(&inject);
	/* A thread that gave itself other credentials could not write before either. */
	if (ret == -EACCES)
		ret = 0;
	return ret ? ret : end;
}

int credentials_restore(struct late_task *task, const struct restored *restored, int fd)
{
	struct adoption adoption = { task, restored };
	int ret;

	ret = restored->driver->adopt_file(fd, task->pid);
	if (!ret)
		ret = task_each_thread(task->pid, adopt_in_thread, &adoption);
	if (ret)
		log_fail("kernel", "the context cannot be given to process %d: %s", task->pid,
			 strerror(-ret));
	return ret;
}

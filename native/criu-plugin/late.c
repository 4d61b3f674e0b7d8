// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "device_node.h"
#include "fault.h"
#include "gate.h"
#include "late.h"
#include "late_task.h"
#include "log.h"
#include "settings.h"
#include "tasks.h"

/* Processes, the first one first; and all their threads. */
static pid_t *tree;
static int tree_count;
static pid_t *traced;
static size_t traced_count;
static bool done, failed;

#define REAP_US		10000
#define REAP_ROUNDS	3000

bool late_failed(void)
{
	return failed;
}

static int close_placeholder(pid_t pid, int fd, const char *link, void *arg)
{
	(void)pid;
	if (strncmp(link, PLACEHOLDER_LINK, strlen(PLACEHOLDER_LINK)))
		return 0;
	return inject_syscall(arg, SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Closes the descriptors that only the restore needed. */
static int close_strays(struct late_task *task)
{
	int64_t ret = task_each_fd(task->pid, close_placeholder, &task->inject);

	for (size_t n = 0; n < restored_count() && !ret; n++) {
		const struct restored *restored = restored_at(n);
		size_t files = 2 + restored->context->n_channels;

		if (restored->built->builder != (int)task->inner)
			continue;
		for (size_t i = 0; i < files && !ret; i++)
			if (restored->built->files[i] >= 0)
				ret = inject_syscall(&task->inject, SYS_close,
						     restored->built->files[i], 0, 0, 0, 0, 0);
	}
	if (ret)
		log_fail("kernel", "descriptors that the restore has left in process %d cannot be closed: %s", task->pid,
			 strerror(-ret));
	return ret;
}

static bool concerns(const struct restored *restored, uint32_t inner)
{
	return restored->built->builder == (int)inner || restored->context->owner == inner ||
	       image_has_open(restored->context, inner) || image_has_mapped(restored->context, inner);
}

/* A descriptor of ours for each context: the builder's stashed one is the context's for certain. */
static int take_contexts(int *fds)
{
	for (size_t n = 0; n < restored_count(); n++) {
		const struct built *built = restored_at(n)->built;

		if (built->state != 1) {
			log_fail("image-damaged", "no restored file belongs to context %zu", n);
			return -EINVAL;
		}
		for (int i = 0; i < tree_count && fds[n] < 0; i++) {
			uint32_t inner;
			int ret = task_inner_pid(tree[i], &inner);

			if (!ret && built->builder == (int)inner)
				ret = fds[n] = task_get_fd(tree[i], built->files[0]);
			if (ret < 0)
				return ret;
		}
		if (fds[n] < 0)
			return -ESRCH;
	}
	return 0;
}

static int map_queues(struct late_task *task, const int *fds)
{
	int ret = 0;

	for (size_t n = 0; n < restored_count() && !ret; n++)
		if (image_has_mapped(restored_at(n)->context, task->inner))
			ret = mapping_restore(task, restored_at(n), fds[n]);
	mapping_forget_places(task);
	return ret;
}

static size_t regions_of(const PB(Context) *context, uint32_t inner)
{
	size_t count = 0;

	for (size_t i = 0; i < context->n_mrs; i++)
		count += image_region_owner(context, context->mrs[i]) == inner;
	return count;
}

static int register_memory(struct late_task *task, int *fds)
{
	int ret = 0;

	for (size_t n = 0; n < restored_count() && !ret; n++) {
		bool is_owner = restored_at(n)->context->owner == task->inner;

		if (is_owner || regions_of(restored_at(n)->context, task->inner))
			ret = memory_regions_restore(task, restored_at(n), fds[n]);
		if (!ret && is_owner)
			ret = credentials_restore(task, restored_at(n), fds[n]);
	}
	return ret;
}

/* Two rounds over the tasks: one may have made a context whose memory regions are in another. */
static int finish_tasks(int *fds)
{
	size_t owners = 0, regions = 0;
	int ret = take_contexts(fds);

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < tree_count && !ret; i++) {
			struct late_task task = { .pid = tree[i] };
			bool concerned = false;
			int end;

			ret = task_inner_pid(task.pid, &task.inner);
			for (size_t n = 0; n < restored_count(); n++)
				concerned |= concerns(restored_at(n), task.inner);
			if (ret || !concerned)
				continue;
			ret = inject_begin(&task.inject, task.pid);
			if (ret)
				break;
			if (round == 0)
				ret = map_queues(&task, fds);
			else
				ret = register_memory(&task, fds);
			if (!ret && round == 1)
				ret = close_strays(&task);
			end = inject_end(&task.inject);
			ret = ret ? ret : end;
			for (size_t n = 0; n < restored_count() && round == 1; n++) {
				owners += restored_at(n)->context->owner == task.inner;
				regions += regions_of(restored_at(n)->context, task.inner);
			}
		}
	}
	for (size_t n = 0; n < restored_count() && !ret; n++) {
		owners--;
		regions -= restored_at(n)->context->n_mrs;
		ret = memory_regions_end(restored_at(n), fds[n]);
	}
	if (!ret && (owners || regions)) {
		log_fail("image-damaged", "a process that uses a verbs context was not restored");
		ret = -ESRCH;
	}
	if (ret)
		log_fail("restore", "the last part of the restore failed: %s", strerror(-ret));
	return ret;
}

/* With an agent the agent freezes the tasks; without one the plugin resumes the device. */
static int pass_gate(const int *fds, uint64_t register_us)
{
	int ret = 0;

	if (fault("restore.gate.before"))
		return -EIO;
	if (restored_has_agent())
		ret = gate_wait(traced, traced_count, register_us);
	else
		for (size_t n = 0; n < restored_count() && !ret; n++)
			ret = restored_at(n)->driver->resume(fds[n]);
	if (!ret && fault("restore.gate.after"))
		ret = -EIO;
	return ret;
}

/*
 * CRIU waits for the first task alone. That one is the init of its namespace and ends after all others; those
 * are traced, and end when their tracer has waited for them. The same holds for a process and its threads.
 */
static void reap_all(void)
{
	for (int round = 0; round < REAP_ROUNDS; round++) {
		size_t left = 0;

		for (size_t i = 1; i < traced_count; i++) {
			siginfo_t info = {};

			if (!waitid(P_PID, traced[i], &info, WEXITED | WNOHANG | __WALL))
				left += !info.si_pid;
		}
		if (!left)
			return;
		usleep(REAP_US);
	}
	log_fail("restore", "a restored process that the plugin killed has not ended");
}

/*
 * CRIU ignores what this hook returns. Dead tasks make its own last step fail, so
 * that it cleans up and reports as it does for any failed restore.
 */
static void kill_all(void)
{
	for (int i = 0; i < tree_count; i++)
		kill(tree[i], SIGKILL);
	reap_all();
}

static int note_thread(pid_t tid, void *arg)
{
	pid_t *grown = realloc(traced, (traced_count + 1) * sizeof(*traced));

	(void)arg;
	if (!grown)
		return -ENOMEM;
	traced = grown;
	traced[traced_count++] = tid;
	return 0;
}

static int note_threads(void)
{
	int ret = 0;

	for (int i = 0; i < tree_count && !ret; i++) {
		ret = note_thread(tree[i], NULL);
		if (!ret)
			ret = task_each_thread(tree[i], note_thread, NULL);
	}
	return ret;
}

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static int resume_all(pid_t root)
{
	uint64_t begun;
	int *fds, ret;

	tree_count = task_tree(root, &tree);
	if (tree_count < 0) {
		ret = tree_count;
		tree_count = 0;
		kill(root, SIGKILL);
		return ret;
	}
	ret = note_threads();
	/* The kernel detaches from the tasks when CRIU is killed; then they must die instead of running. */
	for (size_t i = 0; !ret && i < traced_count; i++)
		ret = task_end_with_us(traced[i]);
	fds = calloc(restored_count() + 1, sizeof(*fds));
	if (ret || !fds) {
		kill_all();
		free(fds);
		return ret ? ret : -ENOMEM;
	}
	for (size_t n = 0; n < restored_count(); n++)
		fds[n] = -1;

	begun = monotonic_us();
	ret = finish_tasks(fds);
	if (!ret)
		ret = device_node_restore(tree[0]);
	if (!ret)
		ret = settings_restore(tree, tree_count);
	if (!ret)
		ret = pass_gate(fds, monotonic_us() - begun);
	if (ret)
		kill_all();
	for (size_t n = 0; n < restored_count(); n++) {
		/* Without an agent nothing else resumes a device whose new tasks are dead. */
		if (ret && fds[n] >= 0 && !restored_has_agent())
			restored_at(n)->driver->resume(fds[n]);
		if (fds[n] >= 0)
			close(fds[n]);
	}
	free(fds);
	return ret;
}

int late_resume(pid_t pid)
{
	int ret;

	if (!done) {
		done = true;
		ret = resume_all(pid);
		failed = ret != 0;
		return ret;
	}
	if (failed)
		return -ECANCELED;
	for (int i = 0; i < tree_count; i++)
		if (tree[i] == pid)
			return 0;
	/* It would run without its queues and regions. */
	log_fail("restore", "process %d appeared after the others were finished; the plugin kills it with them", pid);
	failed = true;
	kill_all();
	kill(pid, SIGKILL);
	return -ESRCH;
}

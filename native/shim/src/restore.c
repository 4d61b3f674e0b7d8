// SPDX-License-Identifier: Apache-2.0
#include "restore.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ahead.h"
#include "fault.h"
#include "keeper.h"
#include "marker.h"
#include "outcome.h"
#include "runc.h"

#define MOST_OPTIONS	64

static int check_environment(json_t *environment, struct reason *why)
{
	const char *name;
	json_t *value;

	json_object_foreach(environment, name, value) {
		if (!json_is_string(value) || !*name || strchr(name, '=')) {
			reason_set(why, "BadReply", "the agent's reply has no usable env %s", name);
			return -1;
		}
	}
	return 0;
}

static int add_options(json_t *options, char **argv, int *count, struct reason *why)
{
	json_t *option;
	size_t at;

	if (json_array_size(options) > MOST_OPTIONS) {
		reason_set(why, "BadReply", "the agent's reply has too many options");
		return -1;
	}
	json_array_foreach(options, at, option) {
		const char *text = json_string_value(option);

		if (!text || !*text) {
			reason_set(why, "BadReply", "the agent's reply has an option that is no text");
			return -1;
		}
		argv[(*count)++] = (char *)text;
	}
	return 0;
}

/* Some of create's options have no equal in restore. */
static int translatable(const struct oci_args *args, struct reason *why)
{
	if (args->preserve_fds && strcmp(args->preserve_fds, "0")) {
		reason_set(why, "UnsupportedObject", "restore cannot preserve descriptors (--preserve-fds %s)",
			   args->preserve_fds);
		return 0;
	}
	if (args->pidfd_socket) {
		reason_set(why, "UnsupportedObject", "restore has no --pidfd-socket");
		return 0;
	}
	return 1;
}

/* In runc's own process. */
static int become_restore(const struct kept_restore *order)
{
	const char *folder_end = strrchr(runc_path(), '/');
	const char *path = getenv("PATH"), *name;
	char search[2 * PATH_MAX], pid[16], waiting[PATH_MAX], *absolute;
	json_t *value;

	json_object_foreach((json_t *)order->environment, name, value)
		setenv(name, json_string_value(value), 1);
	setenv("SEALIFT_STATE", order->state, 1);
	/* The plugin gives the restore up when the bundle's marker is gone. It may not be there yet. */
	absolute = realpath(order->args->bundle, NULL);
	if (marker_waiting_path(absolute ? absolute : order->args->bundle, waiting) == 0)
		setenv("SEALIFT_WHILE", waiting, 1);
	free(absolute);
	/* runc looks for criu in PATH, and ours is beside it. */
	if (folder_end && folder_end != runc_path()) {
		snprintf(search, sizeof(search), "%.*s:%s", (int)(folder_end - runc_path()),
			 runc_path(), path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
		setenv("PATH", search, 1);
	}
	/* The plugin gives the restore up when runc has been killed: nothing would keep track of the restored tasks. */
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("SEALIFT_RUNC_PID", pid, 1);
	return runc_become(order->argv);
}

/* The arguments of `runc restore`, the caller's to free; NULL with @why filled. */
static char **arguments_of(char **argv, const struct oci_args *args, json_t *reply, struct reason *why)
{
	const char *image = json_string_value(json_object_get(reply, "imagePath"));
	const char *work = json_string_value(json_object_get(reply, "workPath"));
	int count = 0, at;
	char **to;

	if (!image || !*image || !work || !*work) {
		reason_set(why, "BadReply", "the agent's reply names no images");
		return NULL;
	}
	if (!translatable(args, why) || check_environment(json_object_get(reply, "env"), why) < 0)
		return NULL;

	to = calloc(args->command_at + MOST_OPTIONS + 24, sizeof(*to));
	if (!to) {
		reason_set(why, "OutOfMemory", "no memory for runc's arguments");
		return NULL;
	}
	for (at = 0; at < args->command_at; at++)
		to[count++] = argv[at];
	to[count++] = "restore";
	to[count++] = "--detach";
	to[count++] = "--manage-cgroups-mode";
	to[count++] = "ignore";
	to[count++] = "--image-path";
	to[count++] = (char *)image;
	to[count++] = "--work-path";
	to[count++] = (char *)work;
	if (add_options(json_object_get(reply, "options"), to, &count, why) < 0) {
		free(to);
		return NULL;
	}
	to[count++] = "--bundle";
	to[count++] = (char *)args->bundle;
	if (args->pid_file) {
		to[count++] = "--pid-file";
		to[count++] = (char *)args->pid_file;
	}
	if (args->console_socket) {
		to[count++] = "--console-socket";
		to[count++] = (char *)args->console_socket;
	}
	if (args->no_pivot)
		to[count++] = "--no-pivot";
	to[count++] = (char *)args->id;
	return to;
}

/* All that runc is to be started with. Takes @reply. Returns 0, or -1 with @why filled. */
static int prepare(struct restore_ahead *it, char **argv, const struct oci_args *args, json_t *reply,
		   struct reason *why)
{
	char state[PATH_MAX];

	it->notice = reply;
	it->argv = arguments_of(argv, args, reply, why);
	if (!it->argv || outcome_begin(json_string_value(json_object_get(reply, "workPath")), state, why) < 0)
		return -1;
	it->state = strdup(state);
	if (!it->state) {
		reason_set(why, "OutOfMemory", "no memory for a path");
		return -1;
	}
	it->order = (struct kept_restore){
		.args = args,
		.argv = it->argv,
		.environment = json_object_get(reply, "env"),
		.images = json_string_value(json_object_get(reply, "imagePath")),
		.state = it->state,
		.fifo = -1,
		.unused_fd = -1,
		.become = become_restore,
	};
	return 0;
}

static void forget(struct restore_ahead *it)
{
	json_decref(it->notice);
	free(it->argv);
	free(it->state);
	*it = (struct restore_ahead){};
}

void restore_ahead(struct restore_ahead *ahead, char **argv, const struct oci_args *args, json_t *notice,
		   int agent_fd)
{
	const char *images = json_string_value(json_object_get(notice, "imagePath"));
	struct reason why;
	int fifo;

	/* The agent repeats itself to a create that asks it again. */
	if (ahead->notice && json_equal(ahead->notice, notice)) {
		json_decref(notice);
		return;
	}
	restore_ahead_end(ahead);
	fifo = images ? ahead_open(images) : -1;
	/* Nothing would keep a runc that does not wait from restoring. */
	if (fifo < 0) {
		json_decref(notice);
		return;
	}
	if (prepare(ahead, argv, args, notice, &why) == 0) {
		ahead->order.fifo = fifo;
		ahead->order.unused_fd = agent_fd;
		if (keeper_start(&ahead->order, &ahead->kept, &why) == 0)
			return;
	}
	close(fifo);
	forget(ahead);
}

void restore_ahead_end(struct restore_ahead *ahead)
{
	if (!ahead->notice)
		return;
	/* Before the keeper's end is waited for: one that was killed ends no runc. */
	ahead_stop(ahead->order.images, ahead->order.fifo);
	keeper_give_up(&ahead->kept);
	forget(ahead);
}

/* Whether the runc that was started ahead is what the agent's reply asks for. */
static int is_usable(const struct restore_ahead *ahead, const json_t *reply)
{
	static const char *const told[] = { "imagePath", "workPath", "options", "env" };
	size_t i;

	for (i = 0; ahead->notice && i < sizeof(told) / sizeof(*told); i++)
		if (!json_equal(json_object_get(ahead->notice, told[i]), json_object_get(reply, told[i])))
			return 0;
	return ahead->notice && keeper_is_there(&ahead->kept);
}

/* What the container's other calls, and the plugin, find out from the bundle. */
static int mark(const struct oci_args *args, struct reason *why)
{
	fault("shim.mark.before");
	if (marker_set_restored(args->bundle) < 0)
		goto failed;
	fault("shim.mark.after");
	if (marker_set_waiting(args->bundle) == 0)
		return 0;
failed:
	reason_set(why, "MarkerFailed", "cannot mark %s: %s", args->bundle, strerror(errno));
	return -1;
}

static int hand_over(const char *images, int fifo, struct reason *why)
{
	if (ahead_go(images, fifo) == 0)
		return 0;
	reason_set(why, "RestoreFailed", "cannot hand the images in %s to runc: %s", images, strerror(errno));
	return -1;
}

static int restore_fresh(char **argv, const struct oci_args *args, json_t *reply, struct reason *why)
{
	struct restore_ahead it = {};
	int result = prepare(&it, argv, args, json_incref(reply), why);

	if (result == 0)
		result = mark(args, why);
	if (result == 0)
		result = hand_over(it.order.images, -1, why);
	if (result == 0)
		result = keeper_start(&it.order, &it.kept, why);
	if (result == 0) {
		keeper_begin(&it.kept);
		result = keeper_finish(&it.order, &it.kept, why);
	}
	forget(&it);
	return result;
}

int restore_container(char **argv, const struct oci_args *args, json_t *reply,
		      struct restore_ahead *ahead, struct reason *why)
{
	int result;

	if (!is_usable(ahead, reply)) {
		restore_ahead_end(ahead);
		return restore_fresh(argv, args, reply, why);
	}
	result = mark(args, why);
	/* Before runc goes on. A keeper that has just ended cannot be told: what it kept has failed, and finishes so. */
	if (result == 0)
		keeper_begin(&ahead->kept);
	if (result == 0)
		result = hand_over(ahead->order.images, ahead->order.fifo, why);
	if (result < 0) {
		restore_ahead_end(ahead);
		return result;
	}
	close(ahead->order.fifo);
	result = keeper_finish(&ahead->order, &ahead->kept, why);
	forget(ahead);
	return result;
}

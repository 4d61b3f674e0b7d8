// SPDX-License-Identifier: Apache-2.0
#include "restore.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "keeper.h"
#include "marker.h"
#include "outcome.h"
#include "runc.h"

#define MOST_OPTIONS	64

static int export_environment(json_t *environment, struct reason *why)
{
	const char *name;
	json_t *value;

	json_object_foreach(environment, name, value) {
		if (!json_is_string(value) || setenv(name, json_string_value(value), 1) < 0) {
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
static int become_restore(char **argv)
{
	const char *folder_end = strrchr(runc_path(), '/');
	const char *path = getenv("PATH");
	char search[2 * PATH_MAX], pid[16];

	/* runc looks for criu in PATH, and ours is beside it. */
	if (folder_end && folder_end != runc_path()) {
		snprintf(search, sizeof(search), "%.*s:%s", (int)(folder_end - runc_path()),
			 runc_path(), path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
		setenv("PATH", search, 1);
	}
	/* The plugin gives the restore up when runc has been killed: nothing would keep track of the restored tasks. */
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("SEALIFT_RUNC_PID", pid, 1);
	return runc_become(argv);
}

/* Runs runc with a keeper. The plugin gives the restore up when the bundle's marker is gone. */
static int keep_restore(char **argv, const struct oci_args *args, json_t *reply, struct reason *why)
{
	struct kept_restore order = { .args = args, .argv = argv, .become = become_restore };
	const char *work = json_string_value(json_object_get(reply, "workPath"));
	char waiting[PATH_MAX], state[PATH_MAX], *absolute;

	if (outcome_begin(work, state, why) < 0)
		return -1;
	order.state = state;
	if (marker_waiting_path(args->bundle, waiting) < 0 || marker_set_waiting(args->bundle) < 0) {
		reason_set(why, "MarkerFailed", "cannot mark %s: %s", args->bundle, strerror(errno));
		return -1;
	}
	absolute = realpath(waiting, NULL);
	setenv("SEALIFT_WHILE", absolute ? absolute : waiting, 1);
	free(absolute);
	return keeper_restore(&order, why);
}

int restore_container(char **argv, const struct oci_args *args, json_t *reply, struct reason *why)
{
	const char *image = json_string_value(json_object_get(reply, "imagePath"));
	const char *work = json_string_value(json_object_get(reply, "workPath"));
	int count = 0, at, result = -1;
	char **to;

	if (!image || !*image || !work || !*work) {
		reason_set(why, "BadReply", "the agent's reply names no images");
		return -1;
	}
	if (!translatable(args, why))
		return -1;

	to = calloc(args->command_at + MOST_OPTIONS + 24, sizeof(*to));
	if (!to) {
		reason_set(why, "OutOfMemory", "no memory for runc's arguments");
		return -1;
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
	if (add_options(json_object_get(reply, "options"), to, &count, why) < 0)
		goto out;
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

	if (export_environment(json_object_get(reply, "env"), why) < 0)
		goto out;
	fault("shim.mark.before");
	if (marker_set_restored(args->bundle) < 0) {
		reason_set(why, "MarkerFailed", "cannot mark %s: %s", args->bundle, strerror(errno));
		goto out;
	}
	fault("shim.mark.after");
	result = keep_restore(to, args, reply, why);
out:
	free(to);
	return result;
}

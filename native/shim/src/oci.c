// SPDX-License-Identifier: Apache-2.0
/*
 * Stands between containerd (or CRI-O) and runc. `create` of a pod's container asks the agent, and may
 * become `restore`; `start` of a restored container has nothing to do. All else goes straight to runc.
 */
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "background.h"
#include "bundle.h"
#include "fault.h"
#include "oci_args.h"

#define RUNC		"/opt/sealift/bin/runc"
#define MOST_OPTIONS	64

static const char *runc_path(void)
{
	const char *named = getenv("SEALIFT_RUNC");

	return named && *named ? named : RUNC;
}

static int become(char **argv)
{
	const char *runc = runc_path();

	argv[0] = (char *)runc;
	execv(runc, argv);
	fprintf(stderr, "sealift-runc: cannot run %s: %s\n", runc, strerror(errno));
	return 1;
}

/* containerd shows the last line of runc's log, CRI-O what came on standard error. */
static int fail(const struct oci_args *args, const struct reason *why)
{
	char stamp[32], message[sizeof(why->text) + sizeof(why->code) + 16];
	time_t now = time(NULL);
	struct tm utc;
	char *line;
	int fd;

	snprintf(message, sizeof(message), "sealift: %s: %s", why->code, why->text);
	fprintf(stderr, "%s\n", message);
	if (!args->log)
		return 1;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	if (args->log_json) {
		json_t *entry = json_pack("{s:s, s:s, s:s}", "level", "error", "msg", message,
					  "time", stamp);

		/* A message that is not UTF-8 makes no JSON. */
		line = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
		json_decref(entry);
	} else {
		size_t size = strlen(message) + sizeof(stamp) + 32;

		line = malloc(size);
		if (line)
			snprintf(line, size, "time=\"%s\" level=error msg=\"%s\"", stamp, message);
	}
	fd = open(args->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0) {
		dprintf(fd, "%s\n", line ? line : "{\"level\":\"error\",\"msg\":\"sealift: failed\"}");
		close(fd);
	}
	free(line);
	return 1;
}

/* What the agent is asked about a container; NULL if it is not to be asked. */
static json_t *create_request(const struct oci_args *args)
{
	json_t *request = bundle_identity(args->bundle);
	char *bundle;

	if (!request)
		return NULL;
	bundle = realpath(args->bundle, NULL);
	json_object_set_new(request, "op", json_string("create"));
	json_object_set_new(request, "id", json_string(args->id));
	json_object_set_new(request, "bundle", json_string(bundle ? bundle : args->bundle));
	free(bundle);
	return request;
}

static int export_environment(json_t *environment, struct reason *why)
{
	const char *folder_end = strrchr(runc_path(), '/');
	const char *path = getenv("PATH");
	char search[2 * PATH_MAX];
	const char *name;
	json_t *value;

	/* runc looks for criu in PATH, and ours is beside it. */
	if (folder_end && folder_end != runc_path()) {
		snprintf(search, sizeof(search), "%.*s:%s", (int)(folder_end - runc_path()),
			 runc_path(), path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
		setenv("PATH", search, 1);
	}
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

/* The plugin gives a restore up whose runc has been killed: nobody would know of what it has rebuilt. */
static int become_restore(char **argv)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("SEALIFT_RUNC_PID", pid, 1);
	return become(argv);
}

/* Asks whether the container's restore is at the resume gate. */
static json_t *at_gate_request(const json_t *environment)
{
	return json_pack("{s:s, s:O, s:O}", "op", "atGate", "token",
			 json_object_get(environment, "SEALIFT_GATE"), "container",
			 json_object_get(environment, "SEALIFT_CONTAINER"));
}

static int restore_in_background(char **argv, const struct oci_args *args, json_t *environment)
{
	struct background order = { .args = args, .argv = argv, .become = become_restore };
	json_t *at_gate = at_gate_request(environment);
	char waiting[PATH_MAX];
	struct reason why;
	int result = -1;

	order.at_gate = at_gate;
	if (!at_gate) {
		reason_set(&why, "BadReply", "the agent's reply names no gate to wait at");
		return fail(args, &why);
	}
	if (bundle_waiting_path(args->bundle, waiting) < 0 || bundle_mark_waiting(args->bundle) < 0) {
		reason_set(&why, "MarkerFailed", "cannot mark %s: %s", args->bundle, strerror(errno));
	} else {
		char *absolute = realpath(waiting, NULL);

		setenv("SEALIFT_WHILE", absolute ? absolute : waiting, 1);
		free(absolute);
		result = background_restore(&order, &why);
	}
	json_decref(at_gate);
	if (result == 0)
		return 0;
	return *why.code ? fail(args, &why) : 1;
}

static int restore(char **argv, const struct oci_args *args, json_t *reply)
{
	json_t *environment = json_object_get(reply, "env");
	int background = json_is_true(json_object_get(reply, "background"));
	const char *image = json_string_value(json_object_get(reply, "imagePath"));
	const char *work = json_string_value(json_object_get(reply, "workPath"));
	struct reason why;
	int count = 0, at;
	char **to;

	if (!image || !*image || !work || !*work) {
		reason_set(&why, "BadReply", "the agent's reply names no images");
		return fail(args, &why);
	}
	if (!translatable(args, &why))
		return fail(args, &why);

	to = calloc(args->command_at + MOST_OPTIONS + 24, sizeof(*to));
	if (!to) {
		reason_set(&why, "OutOfMemory", "no memory for runc's arguments");
		return fail(args, &why);
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
	if (add_options(json_object_get(reply, "options"), to, &count, &why) < 0)
		goto refuse;
	to[count++] = "--bundle";
	to[count++] = (char *)args->bundle;
	/* runc would write it when the gate has been opened. */
	if (args->pid_file && !background) {
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

	if (export_environment(environment, &why) < 0)
		goto refuse;
	fault("shim.mark.before");
	if (bundle_mark_restored(args->bundle) < 0) {
		reason_set(&why, "MarkerFailed", "cannot mark %s: %s", args->bundle, strerror(errno));
		goto refuse;
	}
	fault("shim.mark.after");
	at = background ? restore_in_background(to, args, environment) : become_restore(to);
	free(to);
	return at;
refuse:
	free(to);
	return fail(args, &why);
}

static int create(char **argv, const struct oci_args *args, json_t *request)
{
	struct reason why;
	const char *action;
	json_t *reply;
	int status;

	fault("shim.create.before");
	reply = agent_ask(request, AGENT_PATIENCE_MS, &why);
	fault("shim.create.after");
	if (!reply)
		return fail(args, &why);
	action = json_string_value(json_object_get(reply, "action"));
	if (action && !strcmp(action, "restore")) {
		status = restore(argv, args, reply);
	} else if (action && !strcmp(action, "run")) {
		/* A marker of an earlier attempt must not keep it from being started. */
		bundle_unmark(args->bundle);
		bundle_unmark_waiting(args->bundle);
		status = become(argv);
	} else {
		reason_set(&why, "BadReply", "the agent's reply has the action %s",
			   action ? action : "none");
		status = fail(args, &why);
	}
	json_decref(reply);
	return status;
}

/*
 * Nothing may run in a container whose restore waits for the decision: not even a probe, which the kubelet
 * takes for passed over if it cannot be run. Whatever the options of `exec` are, one argument is the id.
 */
static int waits_at_gate(int argc, char **argv, const struct oci_args *args)
{
	int at;

	for (at = args->command_at + 1; at < argc; at++)
		if (bundle_is_waiting(args->root, argv[at]))
			return 1;
	return 0;
}

int oci_main(int argc, char **argv)
{
	struct oci_args args;
	json_t *request;
	int status;

	oci_args_parse(argc, argv, &args);
	if (args.command && !strcmp(args.command, "exec") && waits_at_gate(argc, argv, &args)) {
		struct reason why;

		reason_set(&why, "AtResumeGate",
			   "the container is being moved and has not been let go yet: try again later");
		return fail(&args, &why);
	}
	if (!args.command || !args.id || args.help)
		return become(argv);
	if (!strcmp(args.command, "start") && bundle_is_restored(args.root, args.id))
		return 0;
	if (strcmp(args.command, "create"))
		return become(argv);
	request = create_request(&args);
	if (!request)
		return become(argv);
	status = create(argv, &args, request);
	json_decref(request);
	return status;
}

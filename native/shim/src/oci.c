// SPDX-License-Identifier: Apache-2.0
/*
 * Stands between containerd (or CRI-O) and runc. `create` of a pod's container asks the agent, and may
 * become `restore`; `start` of a restored container has nothing to do. sealift-runc refuses what it does not
 * understand, because the container might be a target, which must not be created from nothing. All else goes
 * straight to runc.
 */
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "bundle.h"
#include "fault.h"
#include "marker.h"
#include "oci_args.h"
#include "restore.h"
#include "runc.h"

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

/* Completes the request to the agent, which has what the bundle says of its container. */
static void complete_request(json_t *request, const struct oci_args *args)
{
	char *bundle = realpath(args->bundle, NULL);

	json_object_set_new(request, "op", json_string("create"));
	json_object_set_new(request, "id", json_string(args->id));
	json_object_set_new(request, "bundle", json_string(bundle ? bundle : args->bundle));
	free(bundle);
}

/* Asks and does what is said. Returns as the process should. */
static int ask_and_create(char **argv, const struct oci_args *args, const json_t *request)
{
	const char *action;
	struct reason why;
	json_t *reply;
	int status;

	fault("shim.create.before");
	reply = agent_ask(request, AGENT_LIMIT_MS, &why);
	fault("shim.create.after");
	if (!reply)
		return fail(args, &why);
	action = json_string_value(json_object_get(reply, "action"));
	if (action && !strcmp(action, "restore")) {
		status = restore_container(argv, args, reply, &why);
		/* Without a code runc has failed, and has said itself why. */
		if (status < 0)
			status = *why.code ? fail(args, &why) : 1;
	} else if (action && !strcmp(action, "run")) {
		/* A marker of an earlier restore must not keep it from being started. */
		marker_clear_restored(args->bundle);
		marker_clear_waiting(args->bundle);
		status = runc_become(argv);
	} else {
		reason_set(&why, "BadReply", "the agent's reply has the action %s",
			   action ? action : "none");
		status = fail(args, &why);
	}
	json_decref(reply);
	return status;
}

static int create(char **argv, const struct oci_args *args)
{
	json_t *request;
	struct reason why;
	int status;

	switch (bundle_read(args->bundle, &request, &why)) {
	case BUNDLE_SANDBOX:
		return runc_become(argv);
	case BUNDLE_CONTAINER:
		complete_request(request, args);
		status = ask_and_create(argv, args, request);
		break;
	default:
		status = fail(args, &why);
	}
	json_decref(request);
	return status;
}

static int start(char **argv, const struct oci_args *args)
{
	struct reason why;

	switch (marker_start_restored(args->root, args->id, &why)) {
	case 0:
		return runc_become(argv);
	case 1:
		return 0;
	default:
		return fail(args, &why);
	}
}

/*
 * Whether nothing may be done to a container just now, with @why filled: it is being dumped, or it is restored and
 * the agent has not resumed it.
 */
static int stands_still(const struct oci_args *args, const char *id, struct reason *why)
{
	char by[128] = "";
	int marked = marker_is_moving(args->root, id, by, sizeof(by), why);

	if (marked > 0)
		reason_set(why, "Moving",
			   "the container is being moved or checkpointed%s%s: try again when that has ended",
			   *by ? " by " : "", by);
	return marked != 0;
}

/* Commands that would let something run in a container, or stop it, in the middle of a dump or restore. */
static const char *const disturbing[] = { "exec", "pause", "resume", "checkpoint", NULL };

static int disturbs(const char *command)
{
	const char *const *name = disturbing;

	while (*name && strcmp(*name, command))
		name++;
	return *name != NULL;
}

/*
 * Refused at once rather than kept waiting: a probe that cannot be run does not count for the kubelet, one that
 * takes too long has failed. Whatever the command's options are, one argument is the id.
 */
static int unless_still(int argc, char **argv, const struct oci_args *args)
{
	struct reason why;
	int at;

	for (at = args->command_at + 1; at < argc; at++)
		if (stands_still(args, argv[at], &why))
			return fail(args, &why);
	return runc_become(argv);
}

static int is_sigkill(const char *word)
{
	return !strcmp(word, "9") || !strcasecmp(word, "KILL") || !strcasecmp(word, "SIGKILL");
}

/* `kill` with SIGKILL, and `delete`: no task of a target may run on the way, whatever runc does. */
static int end(int argc, char **argv, const struct oci_args *args)
{
	int kills = !strcmp(args->command, "delete"), at;

	for (at = args->command_at + 1; at < argc; at++)
		kills |= is_sigkill(argv[at]);
	for (at = args->command_at + 1; kills && at < argc; at++)
		marker_kill_frozen(args->root, argv[at]);
	return runc_become(argv);
}

/* Kubernetes calls none of these, and they would make a container without a question to the agent. */
static int refuse(const struct oci_args *args)
{
	struct reason why;

	reason_set(&why, "Unsupported",
		   "sealift-runc has no `%s`: create the container and start it, or use runc itself",
		   args->command);
	return fail(args, &why);
}

int oci_main(int argc, char **argv)
{
	struct oci_args args;
	struct reason why;

	if (oci_args_parse(argc, argv, &args, &why) < 0)
		return fail(&args, &why);
	if (!args.command)
		return runc_become(argv);
	if (!strcmp(args.command, "create") && args.id)
		return create(argv, &args);
	if (!strcmp(args.command, "start") && args.id)
		return start(argv, &args);
	if (disturbs(args.command))
		return unless_still(argc, argv, &args);
	if (!strcmp(args.command, "kill") || !strcmp(args.command, "delete"))
		return end(argc, argv, &args);
	if (!strcmp(args.command, "run") || !strcmp(args.command, "restore"))
		return refuse(&args);
	return runc_become(argv);
}

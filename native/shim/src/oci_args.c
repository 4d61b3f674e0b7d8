// SPDX-License-Identifier: Apache-2.0
/*
 * Follows the rules of Go's flag package, which runc uses: one dash or two, `--name value` or
 * `--name=value`, switches take a value only after `=`, `--` ends the options. An option that is not in
 * these tables is refused: the next word may be its value or the container's id.
 */
#include "oci_args.h"

#include <stddef.h>
#include <string.h>

struct option {
	const char *name;
	const char **value;	/* an option with a value, which is kept here if not NULL ... */
	int *set;		/* ... or a switch, which is noted here */
	int takes_value;
};

static int switched_on(const char *equals)
{
	return !equals || !strcmp(equals, "true") || !strcmp(equals, "1") || !strcmp(equals, "t") ||
	       !strcmp(equals, "T") || !strcmp(equals, "TRUE") || !strcmp(equals, "True");
}

/* Takes the option at argv[at]. Returns the index after it, or -1 with @why filled. */
static int take_option(int argc, char **argv, int at, const struct option *options,
		       struct reason *why)
{
	const char *option = argv[at];
	const char *name = option + (option[1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const char *value = equals ? equals + 1 : NULL;

	for (; options->name; options++) {
		if (strlen(options->name) != length || strncmp(options->name, name, length))
			continue;
		if (!options->takes_value) {
			if (options->set)
				*options->set = switched_on(value);
			return at + 1;
		}
		if (!value) {
			if (++at >= argc) {
				reason_set(why, "BadArguments", "the option %.64s has no value", option);
				return -1;
			}
			value = argv[at];
		}
		if (options->value)
			*options->value = value;
		return at + 1;
	}
	reason_set(why, "BadArguments",
		   "sealift-runc does not know the option %.64s, so that it cannot tell which container is meant: "
		   "remove the option from the runtime handler, or install a Sealift that knows this runc's options",
		   option);
	return -1;
}

static int is_option(const char *arg)
{
	return arg[0] == '-' && arg[1] != '\0';
}

static int parse_command(int argc, char **argv, int at, struct oci_args *args,
			 const struct option *options, struct reason *why)
{
	int options_end = 0;

	while (at < argc) {
		if (!options_end && !strcmp(argv[at], "--")) {
			options_end = 1;
			at++;
		} else if (!options_end && is_option(argv[at])) {
			at = take_option(argc, argv, at, options, why);
			if (at < 0)
				return -1;
		} else {
			if (!args->id)
				args->id = argv[at];
			at++;
		}
	}
	return 0;
}

int oci_args_parse(int argc, char **argv, struct oci_args *args, struct reason *why)
{
	const char *log_format = NULL;
	const struct option global[] = {
		{ "root", &args->root, NULL, 1 },
		{ "log", &args->log, NULL, 1 },
		{ "log-format", &log_format, NULL, 1 },
		{ "rootless", NULL, NULL, 1 },
		{ "criu", NULL, NULL, 1 },
		{ "debug", NULL, NULL, 0 },
		{ "systemd-cgroup", NULL, NULL, 0 },
		{ "help", NULL, NULL, 0 },
		{ "h", NULL, NULL, 0 },
		{ "version", NULL, NULL, 0 },
		{ "v", NULL, NULL, 0 },
		{ NULL, NULL, NULL, 0 },
	};
	const struct option create[] = {
		{ "bundle", &args->bundle, NULL, 1 },
		{ "b", &args->bundle, NULL, 1 },
		{ "pid-file", &args->pid_file, NULL, 1 },
		{ "console-socket", &args->console_socket, NULL, 1 },
		{ "pidfd-socket", &args->pidfd_socket, NULL, 1 },
		{ "preserve-fds", &args->preserve_fds, NULL, 1 },
		{ "no-pivot", NULL, &args->no_pivot, 0 },
		{ "no-new-keyring", NULL, NULL, 0 },
		{ "help", NULL, &args->help, 0 },
		{ "h", NULL, &args->help, 0 },
		{ NULL, NULL, NULL, 0 },
	};
	const struct option start[] = {
		{ "help", NULL, &args->help, 0 },
		{ "h", NULL, &args->help, 0 },
		{ NULL, NULL, NULL, 0 },
	};
	int at = 1, ret = 0;

	memset(args, 0, sizeof(*args));
	args->root = "/run/runc";
	args->bundle = ".";

	while (at < argc && is_option(argv[at])) {
		if (!strcmp(argv[at], "--")) {
			at++;
			break;
		}
		at = take_option(argc, argv, at, global, why);
		if (at < 0)
			return -1;
		/* Set at once: if the next option is refused, fail() writes that to the log. */
		args->log_json = log_format && !strcmp(log_format, "json");
	}
	if (at >= argc)
		return 0;
	args->command_at = at;
	args->command = argv[at];
	if (!strcmp(args->command, "create"))
		ret = parse_command(argc, argv, at + 1, args, create, why);
	else if (!strcmp(args->command, "start"))
		ret = parse_command(argc, argv, at + 1, args, start, why);
	if (ret || args->id || args->help || strcmp(args->command, "create"))
		return ret;
	reason_set(why, "BadArguments", "create was called without the id of a container");
	return -1;
}

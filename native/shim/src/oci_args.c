// SPDX-License-Identifier: Apache-2.0
/*
 * Follows the rules of Go's flag package, which runc uses: one dash or two, `--name value` or
 * `--name=value`, switches take a value only after `=`, `--` ends the options.
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

/* Takes the option at argv[at]. Returns the index after it, or -1 if it is none of @options. */
static int take_option(int argc, char **argv, int at, const struct option *options)
{
	const char *name = argv[at] + (argv[at][1] == '-' ? 2 : 1);
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
			if (++at >= argc)
				return -1;
			value = argv[at];
		}
		if (options->value)
			*options->value = value;
		return at + 1;
	}
	return -1;
}

static int is_option(const char *arg)
{
	return arg[0] == '-' && arg[1] != '\0';
}

static void parse_command(int argc, char **argv, int at, struct oci_args *args,
			  const struct option *options)
{
	const char *id = NULL;
	int options_end = 0;

	while (at < argc) {
		if (!options_end && !strcmp(argv[at], "--")) {
			options_end = 1;
			at++;
		} else if (!options_end && is_option(argv[at])) {
			at = take_option(argc, argv, at, options);
			if (at < 0)
				return;
		} else {
			if (!id)
				id = argv[at];
			at++;
		}
	}
	args->id = id;
}

void oci_args_parse(int argc, char **argv, struct oci_args *args)
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
	int at = 1;

	memset(args, 0, sizeof(*args));
	args->root = "/run/runc";
	args->bundle = ".";

	while (at < argc && is_option(argv[at])) {
		if (!strcmp(argv[at], "--")) {
			at++;
			break;
		}
		at = take_option(argc, argv, at, global);
		if (at < 0)
			return;	/* help, version, or unknown: runc's own business */
	}
	args->log_json = log_format && !strcmp(log_format, "json");
	if (at >= argc)
		return;
	args->command_at = at;
	args->command = argv[at];
	if (!strcmp(args->command, "create"))
		parse_command(argc, argv, at + 1, args, create);
	else if (!strcmp(args->command, "start"))
		parse_command(argc, argv, at + 1, args, start);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* runc's command line. */
#ifndef SHIM_OCI_ARGS_H
#define SHIM_OCI_ARGS_H

#include "reason.h"

struct oci_args {
	int command_at;			/* index of the sub-command in argv, 0 if there is none */
	const char *command;		/* NULL: none */
	/* global options */
	const char *root;		/* never NULL */
	const char *log;		/* NULL: standard error only */
	int log_json;
	/* options of create and start */
	const char *id;			/* NULL: not given */
	const char *bundle;		/* never NULL */
	const char *pid_file;
	const char *console_socket;
	const char *pidfd_socket;
	const char *preserve_fds;
	int no_pivot;
	int help;
};

/*
 * Reads the global options and, of create and start, the command's own. The strings are argv's.
 * Returns 0, or -1 with @why filled (BadArguments) if an option is unknown or create names no container;
 * @args then contains what stands before that option.
 */
int oci_args_parse(int argc, char **argv, struct oci_args *args, struct reason *why);

#endif

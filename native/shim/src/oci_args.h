/* SPDX-License-Identifier: Apache-2.0 */
/* runc's command line. */
#ifndef SHIM_OCI_ARGS_H
#define SHIM_OCI_ARGS_H

struct oci_args {
	int command_at;			/* index of the sub-command in argv, 0 if there is none */
	const char *command;		/* NULL: none, or options that are not runc's */
	/* global options */
	const char *root;		/* never NULL */
	const char *log;		/* NULL: standard error only */
	int log_json;
	/* options of create and start */
	const char *id;			/* NULL: not given, or options that are not runc's */
	const char *bundle;		/* never NULL */
	const char *pid_file;
	const char *console_socket;
	const char *pidfd_socket;
	const char *preserve_fds;
	int no_pivot;
	int help;
};

/* The strings are argv's own. */
void oci_args_parse(int argc, char **argv, struct oci_args *args);

#endif

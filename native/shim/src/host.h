/* SPDX-License-Identifier: Apache-2.0 */
/* Running a host's program from the agent's container. */
#ifndef SHIM_HOST_H
#define SHIM_HOST_H

/* Becomes a command. Returns the status for one that cannot be run, as shells have it, and says why. */
int host_exec(char **command);

/* `sealift-host <command> <arguments>`: becomes the command, run in the host's mount namespace. */
int host_main(int argc, char **argv);

#endif

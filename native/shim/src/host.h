/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHIM_HOST_H
#define SHIM_HOST_H

/* `sealift-host <command> <arguments>`: becomes the command, run in the host's mount namespace. */
int host_main(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a dump: it sees the end of CRIU, also of one that is killed. */
#ifndef SHIM_GUARD_H
#define SHIM_GUARD_H

/*
 * `sealift-guard <name> <cgroup> <command> <arguments>`: runs a command that
 * dumps the tasks of a frozen cgroup, and ends as it does. However that and the
 * CRIU that it starts end, the tasks are frozen then and their TCP connections
 * are out of repair mode. In the host's namespaces: call it by sealift-host.
 */
int guard_main(int argc, char **argv);

#endif

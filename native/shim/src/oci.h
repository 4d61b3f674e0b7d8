/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI runtime wrapper, sealift-runc. */
#ifndef SHIM_OCI_H
#define SHIM_OCI_H

/* The OCI runtime wrapper. Returns an exit status, or does not return: it becomes runc. */
int oci_main(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The CNI plugin that wraps the fabric interface's plugin. */
#ifndef SHIM_CNI_H
#define SHIM_CNI_H

/* The CNI plugin. Returns an exit status. */
int cni_main(void);

#endif

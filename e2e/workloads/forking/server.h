/* SPDX-License-Identifier: Apache-2.0 */
/* A server that forks workers. Each uses a context that the parent has opened. */
#ifndef FORKING_SERVER_H
#define FORKING_SERVER_H

/* Opens the device once for each worker, forks the workers and waits for them. Returns the exit status. */
int serve_forking(unsigned int workers);

#endif

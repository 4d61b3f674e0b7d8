/* SPDX-License-Identifier: Apache-2.0 */
/* The client of a forking server. */
#ifndef FORKING_CLIENT_H
#define FORKING_CLIENT_H

/* Exchanges messages with every worker for so long, and prints the verdict. Returns the exit status. */
int exchange_with(const char *server, unsigned int workers, unsigned int seconds);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How each part of a run says why the run breaks off. */
#ifndef LEDGER_FAILURE_H
#define LEDGER_FAILURE_H

/* Says on stderr what could not be done, and returns @err, which is -errno. */
int broke(const char *what, int err);

#endif

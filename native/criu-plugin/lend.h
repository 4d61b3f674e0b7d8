/* SPDX-License-Identifier: GPL-2.0 */
/* A descriptor of ours for a restored task. */
#ifndef SEALIFT_LEND_H
#define SEALIFT_LEND_H

#include "inject.h"

/*
 * lend_descriptor - give @fd to the task, which takes it through a socket
 * Returns the task's descriptor, which is to be closed there (inject_syscall()), or -errno.
 */
int lend_descriptor(struct inject *inject, int fd);

#endif

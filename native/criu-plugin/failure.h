/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The first failure of a dump or restore. It is in memory that the tasks that
 * CRIU forks share: what one of them fails with counts too.
 */
#ifndef SEALIFT_FAILURE_H
#define SEALIFT_FAILURE_H

struct failure {
	int taken;
	int complete;
	char code[32];
	char text[512];
};

/* Forget the failure of an earlier attempt, before CRIU forks. 0 or -errno. */
int failure_reset(void);

/* Keep why it failed. The first failure counts: what follows is its consequence. */
void failure_keep(const char *code, const char *text);

/* The failure that was kept, NULL if there is none. */
const struct failure *failure_first(void);

#endif

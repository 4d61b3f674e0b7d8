/* SPDX-License-Identifier: GPL-2.0 */
/* Processes that have a verbs context since a fork, and do nothing with it. */
#ifndef FAMILY_H
#define FAMILY_H

/*
 * Fork a child that stays, one whose own child stays, and one that has closed all
 * descriptors. They have the queues that are mapped now. All exit the process on failure.
 */
void family_fork(void);

/* Each of them lives and sees the queues as this process does; then end them. */
void family_verify(void);

#endif

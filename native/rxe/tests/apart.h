/* SPDX-License-Identifier: GPL-2.0 */
/* A case in a process of its own, so that neither a crash nor a hang of it ends the others. */
#ifndef APART_H
#define APART_H

/*
 * Run @run(@arg) in a child, which a signal ends after @seconds.
 * Return: the child's status as of waitpid(); its exit code is 1 if a case of its own has failed
 */
int apart(unsigned int seconds, void (*run)(const void *arg), const void *arg);

#endif /* APART_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What a thread may do to its own credentials; its process's other threads keep theirs. */
#ifndef CONFINE_H
#define CONFINE_H

#include <stdbool.h>

/* Is the security module @name in use? */
bool confine_in_use(const char *name);
/* What gives threads other labels under AppArmor. Each exits the process on failure. */
void confine_begin(void);
void confine_end(void);

/* The calling thread alone. All return 0 or -errno. */

/* A credentials object of its own, which allows the same. */
int confine_own_object(void);
int confine_drop_capability(unsigned int cap);
/* A label of AppArmor or Smack, whichever is in use, that @name makes another one. */
int confine_label(const char *name);
/* A Landlock domain in which no file may be read. */
int confine_domain(void);

/* May the calling thread read a file? */
bool confine_may_read(void);
/* What tells the calling thread's label from others: a line without its end. */
void confine_get_label(char *label, unsigned int size);

#endif /* CONFINE_H */

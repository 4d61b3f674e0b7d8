/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's memory has in it before it is used for something else. */
#ifndef DIRTY_H
#define DIRTY_H

/*
 * Have the kernel fill pages and small objects with @byte, and free them. What it allocates
 * next, and does not set, has that byte, unless it sets all that it allocates to 0
 * (init_on_alloc=1, the default of Debian's kernel; the debug kernel does not).
 * Exits the process on failure.
 */
void dirty_kernel_memory(unsigned char byte);

#endif /* DIRTY_H */

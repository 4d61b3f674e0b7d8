/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_KEEPS_H
#define SEALIFT_KEEPS_H

/* Make what sockets @what is. Returns what says each second how they are; NULL: it is none of sockets. */
void (*sockets_begin(const char *what))(void);

#endif

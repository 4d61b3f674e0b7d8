/* SPDX-License-Identifier: GPL-2.0 */
/* Which descriptors the dumped processes have, and where none of them has one. */
#ifndef SEALIFT_DUMP_DESCRIPTORS_H
#define SEALIFT_DUMP_DESCRIPTORS_H

#include <stdint.h>

void dump_descriptors_forget(void);
void dump_descriptor_seen(int fd);

/*
 * dump_descriptors_room - where @count descriptors in a row are in no process
 * Below the highest descriptor of any, and as high as can be. 0: there is no
 * such place.
 */
uint32_t dump_descriptors_room(uint32_t count);

#endif

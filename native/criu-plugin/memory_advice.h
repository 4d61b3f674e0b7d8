/* SPDX-License-Identifier: GPL-2.0 */
/* Memory marked MADV_WIPEONFORK, mapped MAP_DROPPABLE or sealed with mseal(2). */
#ifndef SEALIFT_MEMORY_ADVICE_H
#define SEALIFT_MEMORY_ADVICE_H

#include <sys/types.h>

#include "image_settings.h"

/* Record such memory of @pid. 0 or -errno; -ECANCELED with the reason in the log if it cannot be dumped. */
int memory_advice_read(pid_t pid, PB(Settings) *settings);

/* Mark it again in a restored task that is stopped, but for seals. 0 or -errno with the reason in the log. */
int memory_advice_restore(pid_t pid, const PB(Settings) *settings);

/* The same for seals, after which nothing can unmap or protect that memory: the last thing of all. */
int memory_advice_seal(pid_t pid, const PB(Settings) *settings);

#endif

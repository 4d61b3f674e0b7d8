/* SPDX-License-Identifier: GPL-2.0 */
/* Memory marked MADV_WIPEONFORK or mapped MAP_DROPPABLE. */
#ifndef SEALIFT_MEMORY_ADVICE_H
#define SEALIFT_MEMORY_ADVICE_H

#include <sys/types.h>

#include "image_settings.h"

/* Record the memory of @pid that a fork or a lack of memory empties. 0 or -errno. */
int memory_advice_read(pid_t pid, PB(Settings) *settings);

/* Make it so again in a restored task that is stopped. 0 or -errno with the reason in the log. */
int memory_advice_restore(pid_t pid, const PB(Settings) *settings);

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * A restore takes every handle up to a context's highest with a protection
 * domain (build.h), for all contexts at a time, and a device has only so many.
 */
#include <errno.h>

#include "dump_limits.h"
#include "log.h"

int dump_limits_check(const struct dumped *contexts, size_t count)
{
	uint64_t places = 0;

	for (size_t i = 0; i < count; i++) {
		long highest = image_max_handle(contexts[i].context);

		places += highest + 1;
		if (places <= IMAGE_MAX_HANDLE)
			continue;
		log_fail("unsupported",
			 "the verbs contexts of these processes have handles up to %ld, %llu together, of which %u can be given again; destroy objects that are not needed",
			 highest, (unsigned long long)places, IMAGE_MAX_HANDLE);
		return -EOPNOTSUPP;
	}
	return 0;
}

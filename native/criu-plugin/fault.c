// SPDX-License-Identifier: GPL-2.0
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "log.h"

bool fault(const char *point)
{
	const char *p = getenv("SEALIFT_FAULT");
	size_t length = strlen(point);

	while (p && *p) {
		size_t n = strcspn(p, ",");

		if (n >= length && !memcmp(p, point, length)) {
			if (n == length) {
				log_fail("fault", "%s", point);
				return true;
			}
			if (n == length + 5 && !memcmp(p + length, ":kill", 5)) {
				log_fail("fault", "%s, killed", point);
				raise(SIGKILL);
			}
		}
		p += n;
		if (*p == ',')
			p++;
	}
	return false;
}

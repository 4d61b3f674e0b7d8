// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "driver.h"

static const struct driver *const drivers[] = { &driver_rxe };

const struct driver *driver_of(int fd, struct driver_info *info)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!drivers[i]->query(fd, info))
			return drivers[i];
	return NULL;
}

const struct driver *driver_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "failure.h"

#include <stdio.h>
#include <string.h>

int broke(const char *what, int err)
{
	fprintf(stderr, "ledger: %s: %s\n", what, strerror(-err));
	return err;
}

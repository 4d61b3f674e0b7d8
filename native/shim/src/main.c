// SPDX-License-Identifier: Apache-2.0
/* One static binary, its work chosen by the name that it is called by. */
#include <stdio.h>
#include <string.h>

#include "cni.h"
#include "guard.h"
#include "host.h"
#include "oci.h"

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	if (!strcmp(name, "sealift-runc"))
		return oci_main(argc, argv);
	if (!strcmp(name, "sealift"))
		return cni_main();
	if (!strcmp(name, "sealift-host"))
		return host_main(argc, argv);
	if (!strcmp(name, "sealift-guard"))
		return guard_main(argc, argv);
	fprintf(stderr, "%s: call me sealift-runc, sealift (CNI), sealift-host or sealift-guard\n",
		name);
	return 2;
}

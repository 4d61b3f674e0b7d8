// SPDX-License-Identifier: GPL-2.0
/* The methods of NAKs that end a connection. */
#include "method.h"

#define NUM(a) (sizeof(a) / sizeof((a)[0]))
#define AT(p) ((uintptr_t)(p))

int sl_dump_naks(int fd, struct sealift_rxe_nak *list, uint32_t max,
		 struct sealift_rxe_naks *out)
{
	struct sealift_rxe_buffer in = sl_buffer(list, max * sizeof(*list));
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_DUMP_NAKS_IN, sizeof(in), AT(&in) },
		{ SEALIFT_RXE_ATTR_DUMP_NAKS_OUT, sizeof(*out), AT(out) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_NAKS,
		       attrs, NUM(attrs));
}

int sl_restore_nak(int fd, const struct sealift_rxe_nak *in)
{
	struct sl_attr attr = {
		SEALIFT_RXE_ATTR_RESTORE_NAK_IN, sizeof(*in), AT(in)
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_NAK,
		       &attr, 1);
}

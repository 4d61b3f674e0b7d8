// SPDX-License-Identifier: GPL-2.0
/* The methods of unread asynchronous events. */
#include "method.h"

#define NUM(a) (sizeof(a) / sizeof((a)[0]))
#define AT(p) ((uintptr_t)(p))

int sl_dump_events(int fd, struct sealift_rxe_event *list, uint32_t max,
		   struct sealift_rxe_events *out)
{
	struct sealift_rxe_buffer in = sl_buffer(list, max * sizeof(*list));
	struct sl_attr attrs[] = {
		{ SEALIFT_RXE_ATTR_DUMP_EVENTS_IN, sizeof(in), AT(&in) },
		{ SEALIFT_RXE_ATTR_DUMP_EVENTS_OUT, sizeof(*out), AT(out) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_EVENTS,
		       attrs, NUM(attrs));
}

int sl_restore_events(int fd, const struct sealift_rxe_events *in,
		      const struct sealift_rxe_event *list)
{
	struct sealift_rxe_buffer buf = sl_buffer(in->count ? list : NULL,
						  in->count * sizeof(*list));

	return sl_restore_events_from(fd, in, &buf);
}

int sl_restore_events_from(int fd, const struct sealift_rxe_events *in,
			   const struct sealift_rxe_buffer *buf)
{
	struct sl_attr attrs[] = {
		/* so short that it travels in the attribute itself */
		{ SEALIFT_RXE_ATTR_RESTORE_EVENTS_IN, sizeof(*in),
		  in->count | (uint64_t)in->port_state << 32 },
		{ SEALIFT_RXE_ATTR_RESTORE_EVENTS_LIST, sizeof(*buf), AT(buf) },
	};

	return sl_call(fd, SEALIFT_RXE_OBJECT,
		       SEALIFT_RXE_METHOD_RESTORE_EVENTS, attrs, NUM(attrs));
}

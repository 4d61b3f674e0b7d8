/* SPDX-License-Identifier: GPL-2.0 */
/* Fault points of the driver methods, for tests. */
#ifndef RXE_SEALIFT_FAULT_H
#define RXE_SEALIFT_FAULT_H

#include <linux/types.h>

/* The methods with fault points: all but QUERY. */
enum rxe_fault_method {
	RXE_FAULT_HOLD,
	RXE_FAULT_RESUME,
	RXE_FAULT_DUMP_CONTEXT,
	RXE_FAULT_FIND_FD,
	RXE_FAULT_DUMP_CQ,
	RXE_FAULT_DUMP_MR,
	RXE_FAULT_DUMP_QP,
	RXE_FAULT_HINT,
	RXE_FAULT_RESTORE_CQ,
	RXE_FAULT_RESTORE_QP,
	RXE_FAULT_ADOPT,
	RXE_FAULT_LIST,
	RXE_FAULT_DUMP_SRQ,
	RXE_FAULT_RESTORE_SRQ,
	RXE_FAULT_DUMP_AH,
	RXE_FAULT_RESTORE_AH,
	RXE_FAULT_DUMP_EVENTS,
	RXE_FAULT_RESTORE_EVENTS,
	RXE_FAULT_DUMP_NAKS,
	RXE_FAULT_RESTORE_NAK,
	RXE_FAULT_METHODS
};

/*
 * Pass a fault point, before or after what a method does.
 * Return: 0, or -EIO if it was armed; it is disarmed then
 */
int rxe_fault(enum rxe_fault_method method, bool after);

/* Run an effect between its two points. Its own error, or -EIO. */
#define rxe_fault_around(_method, _effect) ({			\
	const enum rxe_fault_method _m = (_method);		\
	int _err = rxe_fault(_m, false);			\
								\
	if (!_err)						\
		_err = (_effect);				\
	_err ?: rxe_fault(_m, true);				\
})

#endif /* RXE_SEALIFT_FAULT_H */

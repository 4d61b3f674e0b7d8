// SPDX-License-Identifier: GPL-2.0
/*
 * Fault points, for tests. Root arms them by name in the module's parameter
 * `fault`, say "hold.before,restore_qp.after"; each fails once, with EIO, and
 * is out of the parameter from then on.
 */
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "rxe_sealift_fault.h"

#define RXE_FAULT_POINTS	(2 * RXE_FAULT_METHODS)
#define RXE_FAULT_NAME_MAX	32

static const char * const rxe_fault_methods[] = {
	[RXE_FAULT_HOLD]		= "hold",
	[RXE_FAULT_RESUME]		= "resume",
	[RXE_FAULT_DUMP_CONTEXT]	= "dump_context",
	[RXE_FAULT_FIND_FD]		= "find_fd",
	[RXE_FAULT_DUMP_CQ]		= "dump_cq",
	[RXE_FAULT_DUMP_MR]		= "dump_mr",
	[RXE_FAULT_DUMP_QP]		= "dump_qp",
	[RXE_FAULT_HINT]		= "hint",
	[RXE_FAULT_RESTORE_CQ]		= "restore_cq",
	[RXE_FAULT_RESTORE_QP]		= "restore_qp",
	[RXE_FAULT_ADOPT]		= "adopt",
	[RXE_FAULT_LIST]		= "list",
	[RXE_FAULT_DUMP_SRQ]		= "dump_srq",
	[RXE_FAULT_RESTORE_SRQ]		= "restore_srq",
	[RXE_FAULT_DUMP_AH]		= "dump_ah",
	[RXE_FAULT_RESTORE_AH]		= "restore_ah",
	[RXE_FAULT_DUMP_EVENTS]		= "dump_events",
	[RXE_FAULT_RESTORE_EVENTS]	= "restore_events",
	[RXE_FAULT_DUMP_NAKS]		= "dump_naks",
	[RXE_FAULT_RESTORE_NAK]		= "restore_nak",
};

/* Bit 2n is the point before method n, bit 2n + 1 the one after it. */
static unsigned long rxe_faults;

static_assert(ARRAY_SIZE(rxe_fault_methods) == RXE_FAULT_METHODS);
static_assert(RXE_FAULT_POINTS <= BITS_PER_LONG);

int rxe_fault(enum rxe_fault_method method, bool after)
{
	if (likely(!READ_ONCE(rxe_faults)))
		return 0;

	return test_and_clear_bit(2 * method + after, &rxe_faults) ? -EIO : 0;
}

static void rxe_fault_name(unsigned int point, char *name)
{
	snprintf(name, RXE_FAULT_NAME_MAX, "%s.%s",
		 rxe_fault_methods[point / 2], point % 2 ? "after" : "before");
}

static int rxe_fault_find(const char *wanted)
{
	char name[RXE_FAULT_NAME_MAX];
	unsigned int point;

	for (point = 0; point < RXE_FAULT_POINTS; point++) {
		rxe_fault_name(point, name);
		if (!strcmp(name, wanted))
			return point;
	}

	return -EINVAL;
}

/* A write replaces the armed points. One wrong name refuses the whole write. */
static int rxe_fault_set(const char *val, const struct kernel_param *kp)
{
	unsigned long armed = 0;
	char *list, *rest, *name;
	int point = 0;

	list = kstrdup(val, GFP_KERNEL);
	if (!list)
		return -ENOMEM;

	rest = strim(list);
	while ((name = strsep(&rest, ","))) {
		if (!*name)
			continue;
		point = rxe_fault_find(name);
		if (point < 0)
			goto out;
		__set_bit(point, &armed);
	}

	WRITE_ONCE(rxe_faults, armed);
out:
	kfree(list);
	return point < 0 ? point : 0;
}

static int rxe_fault_get(char *buffer, const struct kernel_param *kp)
{
	unsigned long armed = READ_ONCE(rxe_faults);
	char name[RXE_FAULT_NAME_MAX];
	unsigned int point;
	int len = 0;

	for_each_set_bit(point, &armed, RXE_FAULT_POINTS) {
		rxe_fault_name(point, name);
		len += scnprintf(buffer + len, PAGE_SIZE - len, "%s%s",
				 len ? "," : "", name);
	}
	len += scnprintf(buffer + len, PAGE_SIZE - len, "\n");

	return len;
}

static const struct kernel_param_ops rxe_fault_ops = {
	.set = rxe_fault_set,
	.get = rxe_fault_get,
};

module_param_cb(fault, &rxe_fault_ops, NULL, 0600);
MODULE_PARM_DESC(fault, "Methods to fail once, e.g. hold.before,restore_qp.after");

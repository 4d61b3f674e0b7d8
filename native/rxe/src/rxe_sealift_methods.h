/* SPDX-License-Identifier: GPL-2.0 */
/* What the driver methods have in common, and their handlers. */
#ifndef RXE_SEALIFT_METHODS_H
#define RXE_SEALIFT_METHODS_H

#include "rxe_sealift.h"
#include "rxe_sealift_fault.h"

#define UVERBS_MODULE_NAME rxe_sealift
#include <rdma/uverbs_named_ioctl.h>

/*
 * The device of the calling context, if the caller has the privilege.
 * Return: an ERR_PTR: -EPERM, ...
 */
struct rxe_dev *rxe_sealift_dev(struct uverbs_attr_bundle *attrs);

/*
 * Lock a held device, so that nobody resumes it during a dump or restore.
 * Return: an ERR_PTR: as above; -EBUSY not held, or still receiving datagrams;
 * -ERESTARTSYS
 */
struct rxe_dev *rxe_sealift_lock_held(struct uverbs_attr_bundle *attrs);
/* The same, whatever the hold lets through: -EBUSY only if it is not held. */
struct rxe_dev *rxe_sealift_lock_any_held(struct uverbs_attr_bundle *attrs);
void rxe_sealift_unlock(struct rxe_dev *rxe);

/* rxe_sealift_methods.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_QUERY)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HOLD)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESUME)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_dump.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CONTEXT)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_FIND_FD)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_CQ)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_MR)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_QP)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_LIST)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_events.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_EVENTS)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_EVENTS)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_naks.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_NAKS)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_NAK)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_restore.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_HINT)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_CQ)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_QP)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_ADOPT)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_MAY_WRITE)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_srq.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_SRQ)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_SRQ)(
	struct uverbs_attr_bundle *attrs);

/* rxe_sealift_methods_ah.c */
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_DUMP_AH)(
	struct uverbs_attr_bundle *attrs);
int UVERBS_HANDLER(SEALIFT_RXE_METHOD_RESTORE_AH)(
	struct uverbs_attr_bundle *attrs);

#endif /* RXE_SEALIFT_METHODS_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* A queue pair's struct without what its record says, or RESTORE_QP ignores. */
#ifndef SEALIFT_DRIVER_RXE_THIN_H
#define SEALIFT_DRIVER_RXE_THIN_H

#include "image.h"
#include "sealift_rxe.h"

/* The fields of @record that are as in @qp. */
void rxe_record_fields(PB(QueuePair) *record, uint32_t handle, const struct sealift_rxe_qp *qp);

/* @path: of its record; NULL of one without */
void rxe_thin_qp(struct sealift_rxe_qp *qp, const PB(Path) *path);

/* Undo it, but for what is ignored. */
void rxe_full_qp(struct sealift_rxe_qp *qp, const PB(QueuePair) *record);

#endif

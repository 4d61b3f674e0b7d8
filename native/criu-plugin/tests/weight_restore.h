/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_WEIGHT_RESTORE_H
#define SEALIFT_WEIGHT_RESTORE_H

#include "image.h"

/*
 * weight_restore - build what @context says on the held device, from a file, dump it again and resume; before, what is damaged
 * Returns how many ms to read the image and to build took; exits the process if a queue has another byte than before.
 */
double weight_restore(PB(Context) *context);

#endif

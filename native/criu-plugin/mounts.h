/* SPDX-License-Identifier: GPL-2.0 */
/* The mounts of a process: their options, and setting them from outside. */
#ifndef SEALIFT_MOUNTS_H
#define SEALIFT_MOUNTS_H

#include <stdint.h>
#include <sys/types.h>

#include "image_settings.h"

/* Add all mounts that /proc/PID/mountinfo shows, from below upwards. 0 or -errno. */
int mounts_read(pid_t pid, PB(Settings) *settings);

/*
 * mounts_restore - give the mounts of @pid the recorded options
 *
 * Where several lie on one path, only the uppermost counts: nobody gets at the others.
 * 0, or -errno with the reason in the log: a mount is missing, or cannot be made what it was.
 */
int mounts_restore(pid_t pid, const PB(Settings) *settings);

/*
 * mounts_cover - hide and protect paths that the bundle names, but that the source did not have
 * @masked: paths, one a line, that must not be readable; @read_only: that must not be writable. NULL: none
 * 0 or -errno with the reason in the log.
 */
int mounts_cover(pid_t pid, const char *masked, const char *read_only);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* settings-<pid>.img, one file for each process of a dump (native/proto/ibverbs.proto). */
#ifndef SEALIFT_IMAGE_SETTINGS_H
#define SEALIFT_IMAGE_SETTINGS_H

#include "image.h"

#define SETTINGS_MAX_THREADS	65536U
#define SETTINGS_MAX_MOUNTS	65536U

/* All 0 or -errno, with a line in the log. */
int image_write_settings(int dir, const PB(Settings) *settings);
int image_decode_settings(const uint8_t *data, size_t size, const char *name,
			  PB(Settings) **settings);

/* What the files of a dump say, one item for each. */
struct settings_images {
	PB(Settings) **items;
	size_t count;
};

int image_read_all_settings(int dir, struct settings_images *all);
void image_forget_settings(struct settings_images *all);
int image_remove_all_settings(int dir);

#endif

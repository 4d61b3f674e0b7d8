// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "directory.h"
#include "image_settings.h"
#include "log.h"
#include "socket_options.h"

#define PREFIX "settings-"
#define SUFFIX ".img"
#define PAGE 4096ULL
#define ADDRESS_LIMIT (1ULL << 47)

int image_write_settings(int dir, const PB(Settings) *settings)
{
	char name[48];

	snprintf(name, sizeof(name), PREFIX "%u" SUFFIX, settings->pid);
	return image_write(dir, name, &settings->base);
}

static bool is_memory(uint64_t start, uint64_t end)
{
	return start < end && end <= ADDRESS_LIMIT && !((start | end) % PAGE);
}

/* Nothing is read beyond a list or an address space, whatever the image says. */
static int check(const PB(Settings) *settings)
{
	if (!settings->n_threads || settings->n_threads > SETTINGS_MAX_THREADS ||
	    settings->n_mounts > SETTINGS_MAX_MOUNTS)
		return -EINVAL;
	for (size_t i = 0; i < settings->n_mounts; i++)
		if (settings->mounts[i]->path[0] != '/')
			return -EINVAL;
	for (size_t i = 0; i < settings->n_advice; i++)
		if (!is_memory(settings->advice[i]->start, settings->advice[i]->end))
			return -EINVAL;
	for (size_t i = 0; i < settings->n_sealed; i++)
		if (!is_memory(settings->sealed[i]->start, settings->sealed[i]->end))
			return -EINVAL;
	return socket_options_check(settings);
}

int image_decode_settings(const uint8_t *data, size_t size, const char *name,
			  PB(Settings) **settings)
{
	PB(Envelope) *envelope = image_open(data, size, name);

	if (!envelope)
		return -EINVAL;
	*settings = sealift__ibverbs__settings__unpack(NULL, envelope->body.len,
						       envelope->body.data);
	sealift__ibverbs__envelope__free_unpacked(envelope, NULL);
	if (*settings && !check(*settings))
		return 0;
	log_fail("image-damaged", "%s does not parse", name);
	if (*settings)
		sealift__ibverbs__settings__free_unpacked(*settings, NULL);
	*settings = NULL;
	return -EINVAL;
}

/* settings-, digits, .img, and nothing else. */
static bool is_settings(const char *name)
{
	size_t prefix = strlen(PREFIX), digits;

	if (strncmp(name, PREFIX, prefix))
		return false;
	digits = strspn(name + prefix, "0123456789");
	return digits && !strcmp(name + prefix + digits, SUFFIX);
}

static int read_one(int dir, const char *name, void *arg)
{
	struct settings_images *all = arg;
	PB(Settings) *settings = NULL;
	uint8_t *data = NULL;
	size_t size;
	int ret;

	if (!is_settings(name))
		return 0;
	ret = image_read(dir, name, &data, &size);
	if (ret)
		return ret;
	ret = image_decode_settings(data, size, name, &settings);
	free(data);
	if (!ret)
		ret = image_append(&all->items, &all->count, settings);
	if (ret && settings)
		sealift__ibverbs__settings__free_unpacked(settings, NULL);
	return ret;
}

int image_read_all_settings(int dir, struct settings_images *all)
{
	*all = (struct settings_images){};
	return directory_each_name(dir, read_one, all);
}

void image_forget_settings(struct settings_images *all)
{
	for (size_t i = 0; i < all->count; i++)
		sealift__ibverbs__settings__free_unpacked(all->items[i], NULL);
	free(all->items);
	*all = (struct settings_images){};
}

static int remove_one(int dir, const char *name, void *arg)
{
	(void)arg;
	if (!is_settings(name))
		return 0;
	return unlinkat(dir, name, 0) && errno != ENOENT ? -errno : 0;
}

int image_remove_all_settings(int dir)
{
	return directory_each_name(dir, remove_one, NULL);
}

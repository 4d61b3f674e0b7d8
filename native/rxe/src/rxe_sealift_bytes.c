// SPDX-License-Identifier: GPL-2.0
/*
 * Copy rings and lists from and to user space. A fault on user memory can take
 * for ever (userfaultfd, FUSE): the callers hold no lock here.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "rxe_sealift.h"

static int rxe_bytes_alloc(struct rxe_bytes *bytes, size_t size)
{
	bytes->data = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!bytes->data)
		return -ENOMEM;

	bytes->size = size;
	return 0;
}

int rxe_bytes_copy(struct rxe_bytes *bytes,
		   const struct sealift_rxe_buffer *buf,
		   const void *from, size_t size)
{
	int err;

	if (!buf->address || !size)
		return 0;

	if (buf->size < size)
		return -ENOSPC;

	err = rxe_bytes_alloc(bytes, size);
	if (!err)
		memcpy(bytes->data, from, size);

	return err;
}

int rxe_bytes_to_user(const struct rxe_bytes *bytes,
		      const struct sealift_rxe_buffer *buf)
{
	if (!bytes->data)
		return 0;

	if (copy_to_user(u64_to_user_ptr(buf->address), bytes->data,
			 bytes->size))
		return -EFAULT;

	return 0;
}

/* The caller has bounded the size. */
int rxe_bytes_from_user(struct rxe_bytes *bytes,
			const struct sealift_rxe_buffer *buf)
{
	int err;

	if (!buf->size)
		return 0;

	err = rxe_bytes_alloc(bytes, buf->size);
	if (err)
		return err;

	if (copy_from_user(bytes->data, u64_to_user_ptr(buf->address),
			   bytes->size))
		return -EFAULT;

	return 0;
}

void rxe_bytes_free(struct rxe_bytes *bytes, unsigned int num)
{
	while (num--)
		kvfree(bytes[num].data);
}

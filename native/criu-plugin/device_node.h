/* SPDX-License-Identifier: GPL-2.0 */
/* The restored container's device node, under the name that this node's kernel gives the device. */
#ifndef SEALIFT_DEVICE_NODE_H
#define SEALIFT_DEVICE_NODE_H

#include <sys/types.h>

/*
 * device_node_restore - let a restored container open its device anew
 *
 * libibverbs opens /dev/infiniband/<kernel's name> and compares the number of
 * what it finds with the device's (libibverbs/open_cdev.c). CRIU restores the
 * node under the source's name only. Make a link under this kernel's name
 * beside it, and remove those that earlier moves have left. Nothing is done to a
 * directory that is the caller's own.
 * @pid: a task of the container
 *
 * $SEALIFT_UVERBS names the node inside the container; without it there is
 * nothing to do. 0, or -errno with a line in the log.
 */
int device_node_restore(pid_t pid);

/*
 * device_node_place - the same, with all places given
 * @root: path of the container's root; nothing outside it is reached, whatever links it contains
 * @path: of the node, inside @root
 * @names: directory of links that are called <major>:<minor>: /sys/dev/char
 */
int device_node_place(const char *root, const char *path, const char *names);

#endif

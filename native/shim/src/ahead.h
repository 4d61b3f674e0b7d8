/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a runc that was started before its images are there waits for them (docs/adr/0037): it opens
 * `descriptors.json` of the images' directory after it has made everything that needs no image, and right before it
 * starts CRIU. The agent makes that directory with a FIFO of that name, and links the images into it once they are
 * whole, this one as `descriptors.json.ready`. What writes into the FIFO are the create and its keeper, so that runc
 * cannot outlast them there.
 */
#ifndef SHIM_AHEAD_H
#define SHIM_AHEAD_H

/*
 * Opens both ends, before runc is started: its open does not wait then, and its read ends when the last descriptor is
 * closed, whatever becomes of this process and of the directory. Returns a descriptor, or -1: there is no FIFO.
 */
int ahead_open(const char *images);

/*
 * Lets runc go on, whether it has come to the FIFO or not. Does nothing for images that were there from the
 * beginning.
 * @fifo: of ahead_open(), or -1: no runc was started yet
 * Returns 0, or -1 with errno.
 */
int ahead_go(const char *images, int fifo);

/* Lets runc fail where it waits. It cleans up as after any failure: a kill would leave its mounts. Closes @fifo. */
void ahead_stop(const char *images, int fifo);

#endif

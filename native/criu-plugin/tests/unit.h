/* SPDX-License-Identifier: GPL-2.0 */
/* The checks of the unit tests, and the tests of each part. */
#ifndef SEALIFT_UNIT_H
#define SEALIFT_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One check; counted, and printed if it fails. */
void unit_check(bool passed, const char *what, const char *file, int line);

#define CHECK(condition) unit_check((condition), #condition, __FILE__, __LINE__)

/* What the code under test logged since the last unit_clear_log(). */
const char *unit_log(void);
void unit_clear_log(void);

/* Traces and stops a thread, as CRIU leaves it. */
void unit_seize(pid_t tid);

void unit_descriptors(void);
void unit_device_node(void);
void unit_image(void);
void unit_events(void);
void unit_files(void);
void unit_fuzz(void);
void unit_gate(void);
void unit_batch(void);
void unit_lend(void);
void unit_limits(void);
void unit_mapping(void);
void unit_memory(void);
void unit_owner(void);
void unit_pack(void);
void unit_ring(void);
void unit_outcome(void);
void unit_ahead(void);
void unit_settings(void);
void unit_socket_options(void);
void unit_sockets(void);
void unit_tasks(void);
void unit_unshared(void);
void unit_uverbs(void);
void unit_watches(void);

#endif

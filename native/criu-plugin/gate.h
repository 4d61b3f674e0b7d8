/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_GATE_H
#define SEALIFT_GATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * gate_wait - ask the agent at $SEALIFT_SOCKET whether the tasks may run
 *
 * It is told that finishing the tasks (contexts, memory regions) took
 * @register_us microseconds. Waits for its answer as long as it takes. If the connection ends without
 * one, or cannot be made (the agent restarts), asks again every 500 ms for up
 * to 110 s.
 * 0: go on. -ECANCELED: the agent said no. -ETIMEDOUT: nobody answers.
 */
int gate_wait(pid_t pid, uint64_t register_us);

/*
 * Does the JSON object say "ok": true at its top level? 1 yes, 0 no,
 * -EINVAL: no JSON object.
 */
int gate_parse_reply(const char *reply, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP connection beside the queue pairs: it carries the connection's parameters, a heartbeat
 * through the whole run, which tests that TCP survives too, and the tallies at the end.
 * Each is one line that ends with its CRC and a newline.
 */
#ifndef LEDGER_CONTROL_H
#define LEDGER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_LINE 512

struct control {
	int fd;
	size_t have;
	char in[8 * CONTROL_LINE];
};

/* Both wait up to @seconds for the other side. Return 0 or -errno. */
int control_listen(struct control *c, const char *bind_address, int port, int seconds);
int control_connect(struct control *c, const char *peer, int port, int seconds);
/* Sends one line (no newline in @format). Returns 0 or -errno. */
int control_send(struct control *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * Takes the next line, without CRC and newline, into @line.
 * Returns 1 with a line, 0 when there is none within @timeout_ms, -EPIPE when the peer has closed,
 * -EBADMSG when a line's CRC is wrong, else -errno.
 */
int control_receive(struct control *c, char line[CONTROL_LINE], int timeout_ms);
void control_close(struct control *c);

#endif

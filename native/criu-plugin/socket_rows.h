/* SPDX-License-Identifier: GPL-2.0 */
/* The options that getsockopt(2) tells and setsockopt(2) takes in the same form, and that CRIU 4.1.1 leaves out. */
#ifndef SEALIFT_SOCKET_ROWS_H
#define SEALIFT_SOCKET_ROWS_H

#include <stddef.h>

#define SOCKET_VALUE_MAX 16U
#define SOCKET_ROWS_MAX 128U

/* What a socket may be. */
enum {
	SOCKET_ANY = 1 << 0,
	SOCKET_UNIX = 1 << 1,
	SOCKET_NETLINK = 1 << 2,
	SOCKET_INET = 1 << 3,		/* of either family: a socket of IPv6 may speak IPv4 */
	SOCKET_INET6 = 1 << 4,
	SOCKET_TCP = 1 << 5,
	SOCKET_LISTENER = 1 << 6,	/* of TCP */
	SOCKET_UDP = 1 << 7,
	SOCKET_UDPLITE = 1 << 8,
	SOCKET_RAW6 = 1 << 9,
	SOCKET_CAST = 1 << 10,		/* of either family but of TCP, of which an accepted one has values of the peer's packets */
	SOCKET_CAST6 = 1 << 11,		/* the same of IPv6 */
	SOCKET_NOT_CLOSED = 1 << 12,	/* of TCP: neither without connection nor with one that has ended */
};

enum socket_form {
	FORM_PLAIN,
	FORM_INTERFACE,		/* an index, which another node's interface has another one of: its name is kept */
	FORM_INTERFACE_BE,	/* the same in the network's order */
	FORM_ALGORITHM,		/* that a node may lack: not worth a move */
};

struct socket_row {
	int level, name;
	const char *text;
	size_t size;
	unsigned int of;	/* any of these */
	enum socket_form form;
};

/* In the order in which they are put back. */
extern const struct socket_row socket_rows[];
extern const size_t socket_rows_count;

#endif

// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of the calling thread's network namespace, as the kernel lists them (sock_diag(7)).
#pragma once

#include <linux/inet_diag.h>

#include <cstdint>
#include <functional>

#include "netlink.h"

namespace sealift {

/// Calls `visit` for the sockets in one of the states (a mask of 1 << TCP_...), of both families. Throws Failure.
void EachTcpSocket(Netlink& netlink, uint32_t states, const std::function<void(const inet_diag_msg&)>& visit);

/// Ends a connection, with a RST to its peer (tcp_abort in net/ipv4/tcp.c). False: it has ended by itself. Throws Failure.
bool EndTcpSocket(Netlink& netlink, const inet_diag_msg& socket);

}  // namespace sealift

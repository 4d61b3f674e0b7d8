// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of the calling thread's network namespace, as the kernel lists them (sock_diag(7)).
#pragma once

#include <linux/inet_diag.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "netlink.h"

namespace sealift {

/// Calls `visit` for the sockets in one of the states (a mask of 1 << TCP_...), of both families. Throws Failure.
void EachTcpSocket(Netlink& netlink, uint32_t states, const std::function<void(const inet_diag_msg&)>& visit);

/// Ends connections, each with a RST to its peer (tcp_abort in net/ipv4/tcp.c). One that fails keeps no other from it: the
/// first Failure is thrown at the end. Returns how many have not ended by themselves.
uint32_t EndTcpSockets(Netlink& netlink, const std::vector<inet_diag_msg>& sockets);

}  // namespace sealift

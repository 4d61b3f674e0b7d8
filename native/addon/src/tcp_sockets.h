// SPDX-License-Identifier: Apache-2.0
// The TCP sockets of the calling thread's network namespace, as the kernel lists them (sock_diag(7)).
#pragma once

#include <linux/inet_diag.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "netlink.h"

namespace sealift {

struct TcpQuestion {
  /// A mask of 1 << TCP_...
  uint32_t states;
  /// What is told beside the socket: a mask of 1 << (INET_DIAG_... - 1).
  uint8_t extensions = 0;
};

/// Calls `visit` for the sockets that are asked for, of both families, with what is told beside each. Throws Failure.
void EachTcpSocket(Netlink& netlink, TcpQuestion question,
                   const std::function<void(const inet_diag_msg&, const Attributes&)>& visit);

/// The state (TCP_...) of the TCP socket that a descriptor leads to. None: it leads to another socket.
std::optional<uint8_t> TcpStateOf(int fd);

/// Ends connections, each with a RST to its peer (tcp_abort in net/ipv4/tcp.c). One that fails keeps no other from it: the
/// first Failure is thrown at the end. Returns how many have not ended by themselves.
uint32_t EndTcpSockets(Netlink& netlink, const std::vector<inet_diag_msg>& sockets);

}  // namespace sealift

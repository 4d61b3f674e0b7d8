// SPDX-License-Identifier: Apache-2.0
#include "tcp_sockets.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <vector>

#include "failure.h"

namespace sealift {

namespace {

inet_diag_req_v2& Fill(Request& request, uint8_t family, uint32_t states) {
  auto* body = static_cast<inet_diag_req_v2*>(request.Fixed(sizeof(inet_diag_req_v2)));
  body->sdiag_family = family;
  body->sdiag_protocol = IPPROTO_TCP;
  body->idiag_states = states;
  return *body;
}

/// False: it has ended by itself, or another one has its addresses and ports now.
bool End(Netlink& netlink, const inet_diag_msg& socket) {
  Request request(SOCK_DESTROY, 0);
  Fill(request, socket.idiag_family, 1u << socket.idiag_state).id = socket.id;
  try {
    netlink.Ask(request, "end a TCP connection");
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == "ENOENT") return false;
    throw;
  }
}

}  // namespace

void EachTcpSocket(Netlink& netlink, TcpQuestion question,
                   const std::function<void(const inet_diag_msg&, const Attributes&)>& visit) {
  for (uint8_t family : {AF_INET, AF_INET6}) {
    Request request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    Fill(request, family, question.states).idiag_ext = question.extensions;
    for (const auto& message : netlink.Ask(request, "list TCP sockets")) {
      const nlmsghdr* header = Netlink::Header(message);
      if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) continue;
      inet_diag_msg socket;
      memcpy(&socket, mnl_nlmsg_get_payload(header), sizeof(socket));
      visit(socket, Attributes(header, sizeof(inet_diag_msg)));
    }
  }
}

std::optional<uint8_t> TcpStateOf(int fd) {
  int protocol = 0;
  socklen_t size = sizeof(protocol);
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 || protocol != IPPROTO_TCP) return std::nullopt;
  tcp_info info{};
  size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  return info.tcpi_state;
}

uint32_t EndTcpSockets(Netlink& netlink, const std::vector<inet_diag_msg>& sockets) {
  uint32_t ended = 0;
  std::optional<Failure> first;
  for (const auto& socket : sockets) {
    try {
      ended += End(netlink, socket) ? 1 : 0;
    } catch (const Failure& failure) {
      if (!first) first = failure;
    }
  }
  if (first) throw *first;
  return ended;
}

}  // namespace sealift

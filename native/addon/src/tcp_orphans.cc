// SPDX-License-Identifier: Apache-2.0
// TCP connections that no process has any more (sock_diag(7); tcp_abort in net/ipv4/tcp.c): a restored task that is
// killed at its gate leaves them, for its FIN is dropped by the lock, and no other socket can get the same address and port
// pairs while they last.
#include "tcp_orphans.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "job.h"
#include "netlink.h"

namespace sealift {

namespace {

constexpr uint32_t kEnding = 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_TIME_WAIT |
                             1u << TCP_LAST_ACK | 1u << TCP_CLOSING;

void Fill(Request& request, uint8_t family, const inet_diag_sockid* id) {
  auto* body = static_cast<inet_diag_req_v2*>(request.Fixed(sizeof(inet_diag_req_v2)));
  body->sdiag_family = family;
  body->sdiag_protocol = IPPROTO_TCP;
  body->idiag_states = kEnding;
  if (id) body->id = *id;
}

/// Connections that are ending and have no file.
std::vector<inet_diag_sockid> Orphans(Netlink& netlink, uint8_t family) {
  Request request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  Fill(request, family, nullptr);
  std::vector<inet_diag_sockid> orphans;
  for (const auto& message : netlink.Ask(request, "list TCP sockets")) {
    const nlmsghdr* header = Netlink::Header(message);
    if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) continue;
    inet_diag_msg socket;
    memcpy(&socket, mnl_nlmsg_get_payload(header), sizeof(socket));
    if (socket.idiag_inode == 0) orphans.push_back(socket.id);
  }
  return orphans;
}

/// False: it has ended by itself.
bool End(Netlink& netlink, uint8_t family, const inet_diag_sockid& id) {
  Request request(SOCK_DESTROY, 0);
  Fill(request, family, &id);
  try {
    netlink.Ask(request, "end a TCP connection");
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == "ENOENT") return false;
    throw;
  }
}

uint32_t EndAll() {
  Netlink netlink(NETLINK_SOCK_DIAG);
  uint32_t ended = 0;
  for (uint8_t family : {AF_INET, AF_INET6})
    for (const auto& id : Orphans(netlink, family)) ended += End(netlink, family, id) ? 1 : 0;
  return ended;
}

Napi::Value EndTcpOrphans(const Napi::CallbackInfo& info) {
  return Promise<uint32_t>(
      info.Env(), PathArgument(info, 0, "netns"), [] { return EndAll(); },
      [](Napi::Env env, const uint32_t& ended) { return Napi::Number::New(env, ended); });
}

}  // namespace

void ExportTcpOrphans(Napi::Env env, Napi::Object exports) {
  exports.Set("endTcpOrphans", Napi::Function::New<EndTcpOrphans>(env));
}

}  // namespace sealift

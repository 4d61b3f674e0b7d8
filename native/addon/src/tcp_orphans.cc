// SPDX-License-Identifier: Apache-2.0
// TCP connections that no process has any more: a restored task that is killed at its gate leaves them, for its FIN is
// dropped by the lock, and no other socket can get the same address and port pairs while they last.
#include "tcp_orphans.h"

#include <netinet/tcp.h>

#include <vector>

#include "arguments.h"
#include "job.h"
#include "tcp_sockets.h"

namespace sealift {

namespace {

constexpr uint32_t kEnding = 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_TIME_WAIT |
                             1u << TCP_LAST_ACK | 1u << TCP_CLOSING;

/// Those that are ending and have no file.
uint32_t EndAll() {
  Netlink netlink(NETLINK_SOCK_DIAG);
  std::vector<inet_diag_msg> orphans;
  EachTcpSocket(netlink, {kEnding}, [&](const inet_diag_msg& socket, const Attributes&) {
    if (socket.idiag_inode == 0) orphans.push_back(socket);
  });
  return EndTcpSockets(netlink, orphans);
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

// SPDX-License-Identifier: Apache-2.0
// TCP connections at addresses that a pod loses. To their own process they shall look as after a RST of the peer: an error
// ECONNRESET once, then the end of what can be read, and EPIPE. SOCK_DESTROY says ECONNABORTED, which a peer never causes, so
// that the sockets of a process are disconnected through descriptors of them (tcp_disconnect in net/ipv4/tcp.c).
#include "tcp_resets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "arguments.h"
#include "job.h"
#include "route.h"
#include "task_files.h"
#include "tcp_sockets.h"

namespace sealift {

namespace {

// The kernel's own TCP_NEW_SYN_RECV is listed as TCP_SYN_RECV. Not TCP_TIME_WAIT: it tells its peer nothing.
constexpr uint32_t kConnected = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV |
                                1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |
                                1u << TCP_LAST_ACK | 1u << TCP_CLOSING;

using Bytes = std::array<uint8_t, 16>;

/// An IPv4 address as its IPv4-mapped IPv6 address: that is how an IPv6 socket has it.
Bytes Mapped(int family, const void* address) {
  Bytes bytes{};
  if (family == AF_INET6) {
    memcpy(bytes.data(), address, 16);
    return bytes;
  }
  bytes[10] = bytes[11] = 0xff;
  memcpy(bytes.data() + 12, address, 4);
  return bytes;
}

bool IsLoopback(const Bytes& address) {
  static const Bytes kLoopback6 = Mapped(AF_INET6, &in6addr_loopback);
  static const uint8_t kLoopback4[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
  return address == kLoopback6 || memcmp(address.data(), kLoopback4, sizeof(kLoopback4)) == 0;
}

class Addresses {
 public:
  explicit Addresses(const std::vector<std::string>& texts) {
    for (const auto& text : texts) {
      Address parsed = ParseAddress(text);
      own_.push_back(Mapped(parsed.family, parsed.bytes.data()));
    }
  }
  /// Whether a connection is lost with them: it is at one of them, or its peer is and the pod's own too, as its loopback address
  /// says. An address that the pod has lost before may be another pod's by now.
  bool Have(const Bytes& local, const Bytes& remote) const {
    return Have(local) || (IsLoopback(local) && Have(remote));
  }

 private:
  bool Have(const Bytes& address) const {
    for (const auto& one : own_)
      if (one == address) return true;
    return false;
  }
  std::vector<Bytes> own_;
};

/// One end of a socket. None: it has no IP address.
std::optional<Bytes> EndOf(int fd, int (*name_of)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (name_of(fd, reinterpret_cast<sockaddr*>(&name), &size) < 0) return std::nullopt;
  if (name.ss_family == AF_INET)
    return Mapped(AF_INET, &reinterpret_cast<const sockaddr_in&>(name).sin_addr);
  if (name.ss_family != AF_INET6) return std::nullopt;
  return Mapped(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(name).sin6_addr);
}

bool IsConnectedAt(int fd, const Addresses& addresses) {
  std::optional<uint8_t> state = TcpStateOf(fd);
  if (!state || *state >= 32 || !(kConnected >> *state & 1)) return false;
  std::optional<Bytes> local = EndOf(fd, getsockname), remote = EndOf(fd, getpeername);
  return local && addresses.Have(*local, remote.value_or(Bytes{}));
}

void Disconnect(int fd) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (connect(fd, &nobody, sizeof(nobody)) < 0)
    throw Failure::FromErrno(errno, "disconnect a TCP socket");
  // After its error it shall be at its end. ENOTCONN: so it is, and yet both directions are shut now (inet_shutdown()).
  if (shutdown(fd, SHUT_RDWR) < 0 && errno != ENOTCONN)
    throw Failure::FromErrno(errno, "shut a TCP socket");
}

uint32_t ResetOf(pid_t pid, const Addresses& addresses) {
  uint32_t reset = 0;
  EachSocket(pid, [&](uint32_t, int socket) {
    if (!IsConnectedAt(socket, addresses)) return;
    Disconnect(socket);
    reset++;
  });
  return reset;
}

uint32_t EndAll(const Addresses& addresses) {
  Netlink netlink(NETLINK_SOCK_DIAG);
  std::vector<inet_diag_msg> found;
  EachTcpSocket(netlink, {kConnected}, [&](const inet_diag_msg& socket, const Attributes&) {
    Bytes local = Mapped(socket.idiag_family, socket.id.idiag_src);
    if (addresses.Have(local, Mapped(socket.idiag_family, socket.id.idiag_dst))) found.push_back(socket);
  });
  return EndTcpSockets(netlink, found);
}

std::vector<std::string> TextsArgument(const Napi::CallbackInfo& info, size_t at, const char* name) {
  if (!info[at].IsArray()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an array");
  Napi::Array array = info[at].As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t n = 0; n < array.Length(); n++) {
    Napi::Value value = array[n];
    if (!value.IsString()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be strings");
    texts.push_back(value.As<Napi::String>());
  }
  return texts;
}

Napi::Value Number(Napi::Env env, const uint32_t& number) { return Napi::Number::New(env, number); }

Napi::Value ResetTcpOf(const Napi::CallbackInfo& info) {
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 0, "pid", INT32_MAX));
  std::vector<std::string> addresses = TextsArgument(info, 1, "addresses");
  return Promise<uint32_t>(info.Env(), "", [=] { return ResetOf(pid, Addresses(addresses)); }, Number);
}

Napi::Value EndTcpAt(const Napi::CallbackInfo& info) {
  std::vector<std::string> addresses = TextsArgument(info, 1, "addresses");
  return Promise<uint32_t>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return EndAll(Addresses(addresses)); }, Number);
}

}  // namespace

void ExportTcpResets(Napi::Env env, Napi::Object exports) {
  exports.Set("resetTcpOf", Napi::Function::New<ResetTcpOf>(env));
  exports.Set("endTcpAt", Napi::Function::New<EndTcpAt>(env));
}

}  // namespace sealift

// SPDX-License-Identifier: Apache-2.0
// Sockets that CRIU 4.1.1 cannot dump, by family and protocol (criu/sk-inet.c, can_dump_ipproto(); criu/sockets.c,
// dump_socket()), or would restore without what makes them safe (criu/sk-tcp.c, dump_tcp_opts()). /proc shows none of it of an
// open socket. native/criu-plugin/sockets.c looks for the same in the dump.
#include "sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netns.h"
#include "task_files.h"
#include "tcp_sockets.h"

namespace sealift {

namespace {

struct Socket {
  uint32_t fd;
  int family;
  int protocol;
  bool listens = false;
  uint32_t port = 0;
  /// What stands in the way of one that CRIU could dump otherwise.
  std::string has = "";
  /// Of has == "ulp".
  std::string layer = "";
};

/// linux/tcp.h, TCP_AO_INFO and struct tcp_ao_info_opt, which netinet/tcp.h does not have.
constexpr int kTcpAoInfo = 40;
constexpr socklen_t kTcpAoInfoSize = 48;
/// TCP_ULP_NAME_MAX of include/net/tcp.h.
constexpr size_t kLayerNameMax = 16;

int Option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof(value);
  if (getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0)
    throw Failure::FromErrno(errno, "read a socket's options");
  return value;
}

uint32_t PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return 0;
  sockaddr_in inet;
  // The port is at the same place in both families' addresses.
  memcpy(&inet, &address, sizeof(inet));
  return ntohs(inet.sin_port);
}

bool IsInet(int family) { return family == AF_INET || family == AF_INET6; }

bool CanBeDumped(int family, int type, int protocol) {
  switch (family) {
    case AF_UNIX:
    case AF_NETLINK:
    case AF_PACKET:
      return true;
    case AF_INET:
    case AF_INET6:
      return type == SOCK_RAW || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
             protocol == IPPROTO_UDPLITE;
    default:
      return false;
  }
}

/// What transforms the bytes of a TCP connection in the kernel (`tls`); empty: nothing.
std::string LayerOf(int fd) {
  char name[kLayerNameMax + 1] = "";
  socklen_t size = kLayerNameMax;
  if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &size) < 0) return "";
  return name;
}

/// Keys of TCP-AO, or the demand for some. Kernels before 6.7 have none.
bool HasAo(int fd) {
  char info[kTcpAoInfoSize] = {};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, kTcpAoInfo, info, &size) == 0;
}

/// An eBPF program as filter, which nobody can read back (net/core/filter.c, sk_get_filter()).
bool HasProgram(int fd) {
  socklen_t none = 0;
  return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &none) < 0 && errno == EACCES;
}

uint32_t InodeOf(int fd) {
  struct stat file;
  return fstat(fd, &file) == 0 ? static_cast<uint32_t>(file.st_ino) : 0;
}

/// Inodes of the TCP sockets here that have MD5 keys. The kernel tells CAP_NET_ADMIN alone, and nobody of a socket that neither
/// listens nor is connected.
std::set<uint32_t> InodesWithMd5() {
  Netlink netlink(NETLINK_SOCK_DIAG);
  std::set<uint32_t> inodes;
  // The keys come with this extension only (net/ipv4/inet_diag.c, inet_sk_diag_fill()).
  TcpQuestion question = {~0u, 1 << (INET_DIAG_INFO - 1)};
  EachTcpSocket(netlink, question, [&](const inet_diag_msg& socket, const Attributes& told) {
    if (told.Get(INET_DIAG_MD5SIG)) inodes.insert(socket.idiag_inode);
  });
  return inodes;
}

/// Of those by their inodes; a process that ends meanwhile has none.
std::vector<Socket> WithMd5(pid_t pid, const std::vector<std::pair<uint32_t, Socket>>& candidates) {
  std::vector<Socket> found;
  if (candidates.empty()) return found;
  try {
    EnterNetns("/proc/" + std::to_string(pid) + "/ns/net");
  } catch (const Failure& failure) {
    if (failure.code() == "ENOENT" || failure.code() == "ESRCH") return found;
    throw;
  }
  std::set<uint32_t> inodes = InodesWithMd5();
  for (const auto& [inode, socket] : candidates)
    if (inodes.count(inode) != 0) found.push_back(socket);
  return found;
}

/// What a socket has that CRIU could dump otherwise; empty: nothing that stands in the way.
std::string Obstacle(int fd, bool is_tcp, std::string& layer) {
  if (HasProgram(fd)) return "bpf";
  if (!is_tcp) return "";
  layer = LayerOf(fd);
  if (!layer.empty()) return "ulp";
  return HasAo(fd) ? "ao" : "";
}

std::vector<Socket> Undumpable(pid_t pid) {
  std::vector<Socket> found;
  std::vector<std::pair<uint32_t, Socket>> tcp;
  EachSocket(pid, [&](uint32_t fd, int file) {
    int family = Option(file, SO_DOMAIN);
    int type = Option(file, SO_TYPE);
    int protocol = Option(file, SO_PROTOCOL);
    bool is_tcp = IsInet(family) && type == SOCK_STREAM && protocol == IPPROTO_TCP;
    bool can_be_dumped = CanBeDumped(family, type, protocol);
    Socket socket = {fd, family, protocol};
    if (can_be_dumped) socket.has = Obstacle(file, is_tcp, socket.layer);
    if (IsInet(family)) {
      socket.listens = Option(file, SO_ACCEPTCONN) != 0;
      socket.port = PortOf(file);
    }
    if (!can_be_dumped || !socket.has.empty()) {
      found.push_back(socket);
    } else if (is_tcp) {
      socket.has = "md5";
      tcp.emplace_back(InodeOf(file), socket);
    }
  });
  for (const Socket& socket : WithMd5(pid, tcp)) found.push_back(socket);
  return found;
}

Napi::Value UndumpableSockets(const Napi::CallbackInfo& info) {
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 0, "pid", INT32_MAX));
  return Promise<std::vector<Socket>>(
      info.Env(), "", [=] { return Undumpable(pid); },
      [](Napi::Env env, const std::vector<Socket>& found) {
        return ToArray(env, found, [](Napi::Env in, const Socket& from) {
          Napi::Object one = Napi::Object::New(in);
          one.Set("fd", from.fd);
          one.Set("family", from.family);
          one.Set("protocol", from.protocol);
          one.Set("listens", from.listens);
          one.Set("port", from.port);
          if (!from.has.empty()) one.Set("has", from.has);
          if (!from.layer.empty()) one.Set("layer", from.layer);
          return one;
        });
      });
}

}  // namespace

void ExportSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("undumpableSockets", Napi::Function::New<UndumpableSockets>(env));
}

}  // namespace sealift

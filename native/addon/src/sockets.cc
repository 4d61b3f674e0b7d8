// SPDX-License-Identifier: Apache-2.0
// Sockets that CRIU 4.1.1 cannot dump, by family and protocol (criu/sk-inet.c, can_dump_ipproto(); criu/sockets.c,
// dump_socket()). /proc shows neither of an open socket.
#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "task_files.h"

namespace sealift {

namespace {

struct Socket {
  uint32_t fd;
  int family;
  int protocol;
  bool listens;
  uint32_t port;
};

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

std::vector<Socket> Undumpable(pid_t pid) {
  std::vector<Socket> found;
  EachSocket(pid, [&](uint32_t fd, int socket) {
    int family = Option(socket, SO_DOMAIN);
    int protocol = Option(socket, SO_PROTOCOL);
    if (CanBeDumped(family, Option(socket, SO_TYPE), protocol)) return;
    bool listens = IsInet(family) && Option(socket, SO_ACCEPTCONN) != 0;
    found.push_back({fd, family, protocol, listens, IsInet(family) ? PortOf(socket) : 0});
  });
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
          return one;
        });
      });
}

}  // namespace

void ExportSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("undumpableSockets", Napi::Function::New<UndumpableSockets>(env));
}

}  // namespace sealift

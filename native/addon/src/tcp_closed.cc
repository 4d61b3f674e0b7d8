// SPDX-License-Identifier: Apache-2.0
// Closed TCP sockets that a task still has: neither /proc/net/tcp nor sock_diag(7) lists them, and one that was bound keeps its
// local address (inet_reset_saddr in include/net/inet_sock.h is not called for it). CRIU binds it again there.
#include "tcp_closed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "descriptor.h"
#include "job.h"
#include "task_files.h"
#include "tcp_sockets.h"

namespace sealift {

namespace {

/// Local addresses as text, each with whether the namespace has it.
using Addresses = std::map<std::string, bool>;

/// False: it is bound to no address, or to a link-local one, which every interface has for itself.
bool LocalAddress(int fd, sockaddr_storage& name, std::string& text) {
  socklen_t size = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) < 0) return false;
  auto* four = reinterpret_cast<sockaddr_in*>(&name);
  if (name.ss_family == AF_INET6) {
    auto* six = reinterpret_cast<sockaddr_in6*>(&name);
    if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) return false;
    if (!IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
      six->sin6_port = 0;
      char buffer[INET6_ADDRSTRLEN];
      text = inet_ntop(AF_INET6, &six->sin6_addr, buffer, sizeof(buffer));
      return true;
    }
    in_addr mapped;
    memcpy(&mapped, six->sin6_addr.s6_addr + 12, sizeof(mapped));
    name = {};
    four->sin_family = AF_INET;
    four->sin_addr = mapped;
  }
  if (name.ss_family != AF_INET || four->sin_addr.s_addr == INADDR_ANY) return false;
  four->sin_port = 0;
  char buffer[INET_ADDRSTRLEN];
  text = inet_ntop(AF_INET, &four->sin_addr, buffer, sizeof(buffer));
  return true;
}

/// Whether a socket of the calling thread's namespace can be bound there: what CRIU will try.
bool CanBind(const sockaddr_storage& name) {
  Descriptor socket(::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.open()) return true;
  socklen_t size = name.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  return bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0 || errno != EADDRNOTAVAIL;
}

Addresses ClosedOf(pid_t pid) {
  Addresses found;
  EachSocket(pid, [&](uint32_t, int socket) {
    sockaddr_storage name{};
    std::string text;
    if (TcpStateOf(socket) != TCP_CLOSE || !LocalAddress(socket, name, text) || found.count(text)) return;
    found[text] = CanBind(name);
  });
  return found;
}

Napi::Value ClosedTcpOf(const Napi::CallbackInfo& info) {
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 1, "pid", INT32_MAX));
  return Promise<Addresses>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return ClosedOf(pid); },
      [](Napi::Env env, const Addresses& found) {
        std::vector<Addresses::value_type> list(found.begin(), found.end());
        return ToArray(env, list, [](Napi::Env in, const Addresses::value_type& from) {
          Napi::Object one = Napi::Object::New(in);
          one.Set("address", from.first);
          one.Set("isThere", from.second);
          return one;
        });
      });
}

}  // namespace

void ExportTcpClosed(Napi::Env env, Napi::Object exports) {
  exports.Set("closedTcpOf", Napi::Function::New<ClosedTcpOf>(env));
}

}  // namespace sealift

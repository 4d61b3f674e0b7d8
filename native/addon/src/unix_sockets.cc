// SPDX-License-Identifier: Apache-2.0
// The Unix sockets of a network namespace, and which is connected to which (unix_diag; sock_diag(7)). /proc/net/unix has
// no peers.
#include "unix_sockets.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netlink.h"

namespace sealift {

namespace {

struct UnixSocket {
  uint32_t inode;
  /// 0: not connected.
  uint32_t peer;
  /// As bound: an abstract one begins with a zero byte; empty: unbound.
  std::string name;
  /// Of connections that nobody has accepted yet: the inodes of their clients.
  std::vector<uint32_t> waiting;
};

void ReadAttribute(const nlattr* attribute, UnixSocket& into) {
  const char* data = static_cast<const char*>(mnl_attr_get_payload(attribute));
  size_t size = mnl_attr_get_payload_len(attribute);
  switch (mnl_attr_get_type(attribute)) {
    case UNIX_DIAG_PEER:
      if (size >= sizeof(into.peer)) memcpy(&into.peer, data, sizeof(into.peer));
      break;
    case UNIX_DIAG_NAME:
      into.name.assign(data, size);
      break;
    case UNIX_DIAG_ICONS:
      into.waiting.resize(size / sizeof(uint32_t));
      memcpy(into.waiting.data(), data, into.waiting.size() * sizeof(uint32_t));
      break;
    default:
      break;
  }
}

std::vector<UnixSocket> List() {
  Netlink netlink(NETLINK_SOCK_DIAG);
  Request request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  auto* body = static_cast<unix_diag_req*>(request.Fixed(sizeof(unix_diag_req)));
  body->sdiag_family = AF_UNIX;
  body->udiag_states = ~0u;
  body->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS;
  std::vector<UnixSocket> found;
  for (const auto& message : netlink.Ask(request, "list Unix sockets")) {
    const nlmsghdr* header = Netlink::Header(message);
    if (mnl_nlmsg_get_payload_len(header) < sizeof(unix_diag_msg)) continue;
    unix_diag_msg socket;
    memcpy(&socket, mnl_nlmsg_get_payload(header), sizeof(socket));
    UnixSocket one = {socket.udiag_ino, 0, "", {}};
    mnl_attr_parse(
        header, sizeof(unix_diag_msg),
        [](const nlattr* attribute, void* data) {
          ReadAttribute(attribute, *static_cast<UnixSocket*>(data));
          return MNL_CB_OK;
        },
        &one);
    found.push_back(one);
  }
  return found;
}

Napi::Value UnixSockets(const Napi::CallbackInfo& info) {
  return Promise<std::vector<UnixSocket>>(
      info.Env(), PathArgument(info, 0, "netns"), [] { return List(); },
      [](Napi::Env env, const std::vector<UnixSocket>& found) {
        return ToArray(env, found, [](Napi::Env in, const UnixSocket& from) {
          Napi::Object one = Napi::Object::New(in);
          one.Set("inode", from.inode);
          if (from.peer != 0) one.Set("peer", from.peer);
          // A path ends at a zero byte, or does not.
          std::string name = from.name;
          if (!name.empty() && name[0] != '\0') name = name.c_str();
          if (!name.empty()) one.Set("name", Napi::Buffer<char>::Copy(in, name.data(), name.size()));
          one.Set("waiting", ToArray(in, from.waiting, [](Napi::Env number, uint32_t inode) {
            return Napi::Number::New(number, inode);
          }));
          return one;
        });
      });
}

}  // namespace

void ExportUnixSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("unixSockets", Napi::Function::New<UnixSockets>(env));
}

}  // namespace sealift

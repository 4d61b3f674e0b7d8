// SPDX-License-Identifier: Apache-2.0
// Proxy neighbour entries: the node answers ARP for single addresses on an interface, so that pods of the address's own
// subnet, who look for it on their link, find its new place (arp(7); pneigh_lookup() in net/core/neighbour.c).
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netlink.h"
#include "route.h"

namespace sealift {

namespace {

struct Proxy {
  Address address;
  std::string ifname;
};

size_t Length(int family) { return family == AF_INET ? 4 : 16; }

// False: there was none to delete.
bool ChangeProxy(bool add, const std::string& ifname, const Address& address) {
  Netlink netlink(NETLINK_ROUTE);
  Request request(add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
  auto* fixed = static_cast<ndmsg*>(request.Fixed(sizeof(ndmsg)));
  fixed->ndm_family = static_cast<uint8_t>(address.family);
  fixed->ndm_ifindex = static_cast<int>(IndexOf(ifname));
  fixed->ndm_flags = NTF_PROXY;
  fixed->ndm_state = NUD_PERMANENT;
  mnl_attr_put(request.header(), NDA_DST, Length(address.family), address.bytes.data());
  if (add) mnl_attr_put_u8(request.header(), NDA_PROTOCOL, kProtocol);
  try {
    netlink.Ask(request, (add ? "answer for " : "no longer answer for ") + address.Text());
    return true;
  } catch (const Failure& failure) {
    if (!add && failure.code() == "ENOENT") return false;
    throw;
  }
}

std::vector<Proxy> ReadProxies() {
  Netlink netlink(NETLINK_ROUTE);
  std::vector<Proxy> proxies;
  for (int family : {AF_INET, AF_INET6}) {
    Request request(RTM_GETNEIGH, NLM_F_DUMP);
    auto* wanted = static_cast<ndmsg*>(request.Fixed(sizeof(ndmsg)));
    wanted->ndm_family = static_cast<uint8_t>(family);
    wanted->ndm_flags = NTF_PROXY;
    for (const auto& message : netlink.Ask(request, "list proxy neighbours")) {
      const nlmsghdr* header = Netlink::Header(message);
      if (header->nlmsg_type != RTM_NEWNEIGH) continue;
      const auto* fixed = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(header));
      Attributes of(header, sizeof(*fixed));
      const nlattr* value = of.Get(NDA_DST);
      bool is_own = of.U8(NDA_PROTOCOL) == kProtocol && (fixed->ndm_flags & NTF_PROXY);
      if (!is_own || !value || mnl_attr_get_payload_len(value) != Length(family)) continue;
      Proxy proxy;
      proxy.address.family = family;
      memcpy(proxy.address.bytes.data(), mnl_attr_get_payload(value), Length(family));
      char name[IF_NAMESIZE] = "";
      if_indextoname(static_cast<uint32_t>(fixed->ndm_ifindex), name);
      proxy.ifname = name;
      proxies.push_back(proxy);
    }
  }
  return proxies;
}

template <bool add>
Napi::Value ChangeProxyIn(const Napi::CallbackInfo& info) {
  std::string ifname = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  std::string address = StringArgument(info, 2, "address");
  return Promise<bool>(
      info.Env(), PathArgument(info, 0, "netns"),
      [=] { return ChangeProxy(add, ifname, ParseAddress(address)); },
      [](Napi::Env env, const bool& did) { return Napi::Boolean::New(env, did); });
}

Napi::Value ProxiesIn(const Napi::CallbackInfo& info) {
  return Promise<std::vector<Proxy>>(
      info.Env(), PathArgument(info, 0, "netns"), [] { return ReadProxies(); },
      [](Napi::Env env, const std::vector<Proxy>& proxies) {
        return ToArray(env, proxies, [](Napi::Env in, const Proxy& from) {
          Napi::Object proxy = Napi::Object::New(in);
          proxy.Set("address", from.address.Text());
          proxy.Set("ifname", from.ifname);
          return proxy;
        });
      });
}

}  // namespace

void ExportNeighbour(Napi::Env env, Napi::Object exports) {
  exports.Set("addProxyNeighbour", Napi::Function::New<ChangeProxyIn<true>>(env));
  exports.Set("deleteProxyNeighbour", Napi::Function::New<ChangeProxyIn<false>>(env));
  exports.Set("proxyNeighbours", Napi::Function::New<ProxiesIn>(env));
}

}  // namespace sealift

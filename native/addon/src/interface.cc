// SPDX-License-Identifier: Apache-2.0
#include "interface.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netlink.h"

namespace sealift {

namespace {

Interface ReadLink(Netlink& route, const std::string& name) {
  Request request(RTM_GETLINK, 0);
  auto* fixed = static_cast<ifinfomsg*>(request.Fixed(sizeof(ifinfomsg)));
  fixed->ifi_family = AF_UNSPEC;
  request.Put(IFLA_IFNAME, name);
  std::vector<Netlink::Message> messages;
  try {
    messages = route.Ask(request, "read interface " + name);
  } catch (const Failure& failure) {
    if (failure.code() != "ENODEV") throw;
  }
  for (const auto& message : messages) {
    const nlmsghdr* header = Netlink::Header(message);
    if (header->nlmsg_type != RTM_NEWLINK) continue;
    const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    Attributes of(header, sizeof(*link));
    Interface interface;
    interface.index = static_cast<uint32_t>(link->ifi_index);
    interface.flags = link->ifi_flags;
    interface.mtu = of.U32(IFLA_MTU).value_or(0);
    if (const nlattr* mac = of.Get(IFLA_ADDRESS)) {
      const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(mac));
      interface.mac.assign(bytes, bytes + mnl_attr_get_payload_len(mac));
    }
    return interface;
  }
  throw Failure("NoSuchInterface", "no interface " + name + " in this network namespace");
}

void ReadAddresses(Netlink& route, Interface& interface) {
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.Fixed(sizeof(ifaddrmsg));
  for (const auto& message : route.Ask(request, "list addresses")) {
    const nlmsghdr* header = Netlink::Header(message);
    if (header->nlmsg_type != RTM_NEWADDR) continue;
    const auto* fixed = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
    if (fixed->ifa_index != interface.index) continue;
    Attributes of(header, sizeof(*fixed));
    // On a point-to-point link IFA_ADDRESS is the other end's.
    const nlattr* value = of.Get(IFA_LOCAL) ? of.Get(IFA_LOCAL) : of.Get(IFA_ADDRESS);
    Address address;
    address.family = fixed->ifa_family;
    address.prefix = fixed->ifa_prefixlen;
    size_t length = address.family == AF_INET ? 4 : 16;
    if (!value || mnl_attr_get_payload_len(value) != length) continue;
    memcpy(address.bytes.data(), mnl_attr_get_payload(value), length);
    interface.addresses.push_back(address);
  }
}

std::string MacText(const std::vector<uint8_t>& mac) {
  std::string text;
  char part[4];
  for (uint8_t byte : mac) {
    snprintf(part, sizeof(part), "%02x", byte);
    if (!text.empty()) text += ':';
    text += part;
  }
  return text;
}

Napi::Value ToObject(Napi::Env env, const Interface& interface) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", interface.index);
  object.Set("mac", MacText(interface.mac));
  object.Set("mtu", interface.mtu);
  object.Set("up", (interface.flags & IFF_UP) != 0);
  object.Set("carrier", (interface.flags & IFF_LOWER_UP) != 0);
  object.Set("addresses", ToArray(env, interface.addresses, [](Napi::Env in, const Address& from) {
    Napi::Object address = Napi::Object::New(in);
    address.Set("family", from.family == AF_INET ? "ipv4" : "ipv6");
    address.Set("address", from.Text());
    address.Set("prefix", from.prefix);
    return address;
  }));
  return object;
}

Napi::Value InterfaceInfo(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  return Promise<Interface>(
      info.Env(), PathArgument(info, 0, "netns"), [name] { return ReadInterface(name); }, ToObject);
}

}  // namespace

std::string Address::Text() const {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, bytes.data(), text, sizeof(text));
  return text;
}

Interface ReadInterface(const std::string& name) {
  Netlink route(NETLINK_ROUTE);
  Interface interface = ReadLink(route, name);
  ReadAddresses(route, interface);
  return interface;
}

void ExportInterface(Napi::Env env, Napi::Object exports) {
  exports.Set("interfaceInfo", Napi::Function::New<InterfaceInfo>(env));
}

}  // namespace sealift

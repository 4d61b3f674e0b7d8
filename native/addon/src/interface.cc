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

void SetMtu(const std::string& name, uint32_t mtu) {
  Netlink route(NETLINK_ROUTE);
  Request request(RTM_NEWLINK, 0);
  auto* fixed = static_cast<ifinfomsg*>(request.Fixed(sizeof(ifinfomsg)));
  fixed->ifi_index = static_cast<int>(ReadLink(route, name).index);
  request.Put(IFLA_MTU, mtu);
  route.Ask(request, "give " + name + " an MTU of " + std::to_string(mtu));
}

std::optional<std::array<uint8_t, 16>> Bytes(const Attributes& of, uint16_t attribute, size_t length) {
  const nlattr* value = of.Get(attribute);
  if (!value || mnl_attr_get_payload_len(value) != length) return std::nullopt;
  std::array<uint8_t, 16> bytes{};
  memcpy(bytes.data(), mnl_attr_get_payload(value), length);
  return bytes;
}

// False: not as rtnetlink describes one.
bool ReadAddress(const ifaddrmsg& fixed, const Attributes& of, Address& address) {
  address.family = fixed.ifa_family;
  address.prefix = fixed.ifa_prefixlen;
  address.scope = fixed.ifa_scope;
  address.flags = of.U32(IFA_FLAGS).value_or(fixed.ifa_flags);
  auto local = Bytes(of, IFA_LOCAL, address.Length());
  auto other = Bytes(of, IFA_ADDRESS, address.Length());
  if (!local) local = other;
  if (!local) return false;
  address.bytes = *local;
  // On a point-to-point link IFA_ADDRESS is the other end's.
  if (other && *other != *local) address.peer = other;
  address.broadcast = Bytes(of, IFA_BROADCAST, address.Length());
  address.label = of.Text(IFA_LABEL).value_or("");
  address.metric = of.U32(IFA_RT_PRIORITY).value_or(0);
  address.protocol = of.U8(IFA_PROTO).value_or(0);
  const nlattr* times = of.Get(IFA_CACHEINFO);
  ifa_cacheinfo cache;
  if (times && mnl_attr_get_payload_len(times) >= sizeof(cache)) {
    memcpy(&cache, mnl_attr_get_payload(times), sizeof(cache));
    address.valid = cache.ifa_valid;
    address.preferred = cache.ifa_prefered;
  }
  return true;
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
    Address address;
    if (ReadAddress(*fixed, of, address)) interface.addresses.push_back(address);
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

std::string Notation(int family, const std::array<uint8_t, 16>& bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, bytes.data(), text, sizeof(text));
  return text;
}

Napi::Object ToAddress(Napi::Env env, const Address& from) {
  Napi::Object address = Napi::Object::New(env);
  address.Set("family", from.family == AF_INET ? "ipv4" : "ipv6");
  address.Set("address", from.Text());
  address.Set("prefix", from.prefix);
  address.Set("scope", from.scope);
  address.Set("flags", from.flags);
  if (from.peer) address.Set("peer", Notation(from.family, *from.peer));
  if (from.broadcast) address.Set("broadcast", Notation(from.family, *from.broadcast));
  if (!from.label.empty()) address.Set("label", from.label);
  if (from.metric > 0) address.Set("metric", from.metric);
  if (from.protocol > 0) address.Set("protocol", from.protocol);
  if (from.valid != UINT32_MAX) address.Set("validSeconds", from.valid);
  if (from.preferred != UINT32_MAX) address.Set("preferredSeconds", from.preferred);
  return address;
}

Napi::Value ToObject(Napi::Env env, const Interface& interface) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", interface.index);
  object.Set("mac", MacText(interface.mac));
  object.Set("mtu", interface.mtu);
  object.Set("up", (interface.flags & IFF_UP) != 0);
  object.Set("carrier", (interface.flags & IFF_LOWER_UP) != 0);
  object.Set("addresses", ToArray(env, interface.addresses, ToAddress));
  return object;
}

Napi::Value InterfaceInfo(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  return Promise<Interface>(
      info.Env(), PathArgument(info, 0, "netns"), [name] { return ReadInterface(name); }, ToObject);
}

Napi::Value SetMtuOf(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  uint32_t mtu = NumberArgument(info, 2, "mtu", INT32_MAX);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] { SetMtu(name, mtu); });
}

}  // namespace

size_t Address::Length() const { return family == AF_INET ? 4 : 16; }

std::string Address::Text() const { return Notation(family, bytes); }

Interface ReadInterface(const std::string& name) {
  Netlink route(NETLINK_ROUTE);
  Interface interface = ReadLink(route, name);
  ReadAddresses(route, interface);
  return interface;
}

void ExportInterface(Napi::Env env, Napi::Object exports) {
  exports.Set("interfaceInfo", Napi::Function::New<InterfaceInfo>(env));
  exports.Set("setMtu", Napi::Function::New<SetMtuOf>(env));
}

}  // namespace sealift

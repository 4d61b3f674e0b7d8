// SPDX-License-Identifier: Apache-2.0
// Routes in a table of Sealift's own, and the rule that has the kernel look there first (rtnetlink(7), ip-rule(8)).
#include "route.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <optional>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netlink.h"

namespace sealift {

namespace {

constexpr size_t kLongestInterfaceName = 15;

struct Route {
  Address destination;
  std::optional<Address> via;
  std::string ifname;  // empty: the kernel chooses by `via`
  std::optional<Address> source;
};

size_t Length(const Address& address) { return address.family == AF_INET ? 4 : 16; }

void PutAddress(Request& request, uint16_t attribute, const Address& address) {
  mnl_attr_put(request.header(), attribute, Length(address), address.bytes.data());
}

std::optional<Address> AddressOf(const Attributes& of, uint16_t attribute, int family) {
  Address address;
  address.family = family;
  address.prefix = static_cast<uint8_t>(Length(address) * 8);
  const nlattr* value = of.Get(attribute);
  if (!value || mnl_attr_get_payload_len(value) != Length(address)) return std::nullopt;
  memcpy(address.bytes.data(), mnl_attr_get_payload(value), Length(address));
  return address;
}

// The kernel takes no destination with bits behind its prefix.
Address Network(Address address) {
  for (size_t bit = address.prefix; bit < Length(address) * 8; bit++)
    address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  return address;
}

void PutRoute(Request& request, uint32_t table, const Route& route) {
  auto* fixed = static_cast<rtmsg*>(request.Fixed(sizeof(rtmsg)));
  fixed->rtm_family = static_cast<uint8_t>(route.destination.family);
  fixed->rtm_dst_len = route.destination.prefix;
  fixed->rtm_table = RT_TABLE_UNSPEC;
  fixed->rtm_protocol = kProtocol;
  fixed->rtm_scope = route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  fixed->rtm_type = RTN_UNICAST;
  // The gateway need not be within a subnet of the interface.
  if (route.via && !route.ifname.empty()) fixed->rtm_flags = RTNH_F_ONLINK;
  request.Put(RTA_TABLE, table);
  if (route.destination.prefix > 0) PutAddress(request, RTA_DST, route.destination);
  if (route.via) PutAddress(request, RTA_GATEWAY, *route.via);
  if (!route.ifname.empty()) request.Put(RTA_OIF, IndexOf(route.ifname));
  if (route.source) PutAddress(request, RTA_PREFSRC, *route.source);
}

void ReplaceRoute(uint32_t table, const Route& route) {
  Netlink netlink(NETLINK_ROUTE);
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  PutRoute(request, table, route);
  netlink.Ask(request, "add a route to " + route.destination.Text());
}

// False: there was none.
bool DeleteRoute(uint32_t table, const Address& destination) {
  Netlink netlink(NETLINK_ROUTE);
  Request request(RTM_DELROUTE, 0);
  auto* fixed = static_cast<rtmsg*>(request.Fixed(sizeof(rtmsg)));
  fixed->rtm_family = static_cast<uint8_t>(destination.family);
  fixed->rtm_dst_len = destination.prefix;
  fixed->rtm_protocol = kProtocol;
  fixed->rtm_scope = RT_SCOPE_NOWHERE;
  request.Put(RTA_TABLE, table);
  PutAddress(request, RTA_DST, destination);
  try {
    netlink.Ask(request, "delete the route to " + destination.Text());
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == "ESRCH" || failure.code() == "ENOENT") return false;
    throw;
  }
}

std::vector<Route> ReadRoutes(uint32_t table) {
  Netlink netlink(NETLINK_ROUTE);
  std::vector<Route> routes;
  for (int family : {AF_INET, AF_INET6}) {
    Request request(RTM_GETROUTE, NLM_F_DUMP);
    static_cast<rtmsg*>(request.Fixed(sizeof(rtmsg)))->rtm_family = static_cast<uint8_t>(family);
    for (const auto& message : netlink.Ask(request, "list routes")) {
      const nlmsghdr* header = Netlink::Header(message);
      if (header->nlmsg_type != RTM_NEWROUTE) continue;
      const auto* fixed = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
      Attributes of(header, sizeof(*fixed));
      if (fixed->rtm_protocol != kProtocol || of.U32(RTA_TABLE) != table) continue;
      Route route;
      std::optional<Address> destination = AddressOf(of, RTA_DST, family);
      if (!destination) continue;
      route.destination = *destination;
      route.destination.prefix = fixed->rtm_dst_len;
      route.via = AddressOf(of, RTA_GATEWAY, family);
      char name[IF_NAMESIZE] = "";
      if (of.U32(RTA_OIF)) if_indextoname(*of.U32(RTA_OIF), name);
      route.ifname = name;
      routes.push_back(route);
    }
  }
  return routes;
}

// A rule of both families that has the kernel look into `table` before the tables of higher priority numbers.
void ChangeRule(bool add, uint32_t table, uint32_t priority) {
  Netlink netlink(NETLINK_ROUTE);
  for (int family : {AF_INET, AF_INET6}) {
    Request request(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    auto* fixed = static_cast<fib_rule_hdr*>(request.Fixed(sizeof(fib_rule_hdr)));
    fixed->family = static_cast<uint8_t>(family);
    fixed->action = FR_ACT_TO_TBL;
    request.Put(FRA_TABLE, table);
    request.Put(FRA_PRIORITY, priority);
    mnl_attr_put_u8(request.header(), FRA_PROTOCOL, kProtocol);
    try {
      netlink.Ask(request, add ? "add a routing rule" : "delete a routing rule");
    } catch (const Failure& failure) {
      // A kernel without IPv6 has no rules for it.
      bool is_missing = family == AF_INET6 && (failure.code() == "EAFNOSUPPORT" || failure.code() == "EOPNOTSUPP");
      if (failure.code() != (add ? "EEXIST" : "ENOENT") && !is_missing) throw;
    }
  }
}

std::string TextArgument(const Napi::CallbackInfo& info, size_t at, const char* name) {
  return info[at].IsUndefined() ? "" : StringArgument(info, at, name);
}

Napi::Value ReplaceRouteIn(const Napi::CallbackInfo& info) {
  uint32_t table = NumberArgument(info, 1, "table", UINT32_MAX);
  std::string destination = StringArgument(info, 2, "destination");
  std::string via = TextArgument(info, 3, "via");
  std::string ifname = TextArgument(info, 4, "ifname");
  std::string source = TextArgument(info, 5, "source");
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] {
    Route route;
    route.destination = Network(ParsePrefix(destination));
    if (!via.empty()) route.via = ParseAddress(via);
    if (!source.empty()) route.source = ParseAddress(source);
    route.ifname = ifname;
    ReplaceRoute(table, route);
  });
}

Napi::Value DeleteRouteIn(const Napi::CallbackInfo& info) {
  uint32_t table = NumberArgument(info, 1, "table", UINT32_MAX);
  std::string destination = StringArgument(info, 2, "destination");
  return Promise<bool>(
      info.Env(), PathArgument(info, 0, "netns"),
      [=] { return DeleteRoute(table, Network(ParsePrefix(destination))); },
      [](Napi::Env env, const bool& did) { return Napi::Boolean::New(env, did); });
}

Napi::Value RoutesIn(const Napi::CallbackInfo& info) {
  uint32_t table = NumberArgument(info, 1, "table", UINT32_MAX);
  return Promise<std::vector<Route>>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return ReadRoutes(table); },
      [](Napi::Env env, const std::vector<Route>& routes) {
        return ToArray(env, routes, [](Napi::Env in, const Route& from) {
          Napi::Object route = Napi::Object::New(in);
          route.Set("destination", from.destination.Text() + "/" + std::to_string(from.destination.prefix));
          if (from.via) route.Set("via", from.via->Text());
          route.Set("ifname", from.ifname);
          return route;
        });
      });
}

template <bool add>
Napi::Value ChangeRuleIn(const Napi::CallbackInfo& info) {
  uint32_t table = NumberArgument(info, 1, "table", UINT32_MAX);
  uint32_t priority = NumberArgument(info, 2, "priority", UINT32_MAX);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] { ChangeRule(add, table, priority); });
}

}  // namespace

Address ParsePrefix(const std::string& text) {
  size_t slash = text.find('/');
  Address address;
  std::string host = text.substr(0, slash);
  if (inet_pton(AF_INET, host.c_str(), address.bytes.data()) == 1) {
    address.family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), address.bytes.data()) == 1) {
    address.family = AF_INET6;
  } else {
    throw Failure("BadArgument", "not an IP address: " + text);
  }
  size_t longest = Length(address) * 8;
  size_t prefix = longest;
  if (slash != std::string::npos) {
    std::string bits = text.substr(slash + 1);
    bool is_number = !bits.empty() && bits.size() <= 3 && bits.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number || std::stoul(bits) > longest)
      throw Failure("BadArgument", "not a prefix length: " + text);
    prefix = std::stoul(bits);
  }
  address.prefix = static_cast<uint8_t>(prefix);
  return address;
}

Address ParseAddress(const std::string& text) {
  if (text.find('/') != std::string::npos) throw Failure("BadArgument", "not an IP address: " + text);
  return ParsePrefix(text);
}

uint32_t IndexOf(const std::string& name) {
  uint32_t index = name.size() <= kLongestInterfaceName ? if_nametoindex(name.c_str()) : 0;
  if (index == 0) throw Failure("NoSuchInterface", "no interface " + name + " in this network namespace");
  return index;
}

void ExportRoute(Napi::Env env, Napi::Object exports) {
  exports.Set("replaceRoute", Napi::Function::New<ReplaceRouteIn>(env));
  exports.Set("deleteRoute", Napi::Function::New<DeleteRouteIn>(env));
  exports.Set("routes", Napi::Function::New<RoutesIn>(env));
  exports.Set("ensureRule", Napi::Function::New<ChangeRuleIn<true>>(env));
  exports.Set("removeRule", Napi::Function::New<ChangeRuleIn<false>>(env));
}

}  // namespace sealift

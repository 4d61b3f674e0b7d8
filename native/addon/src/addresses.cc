// SPDX-License-Identifier: Apache-2.0
// The addresses of an interface replaced, and the host's end of a pod's veth found.
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

#include "arguments.h"
#include "job.h"
#include "netlink.h"
#include "netns.h"
#include "route.h"

namespace sealift {

namespace {

bool IsSame(const Address& one, const Address& other) {
  return one.family == other.family && one.prefix == other.prefix && one.bytes == other.bytes;
}

bool IsLinkLocal(const Address& address) {
  return address.family == AF_INET6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

void ChangeAddress(Netlink& netlink, uint16_t type, uint32_t index, const Address& address) {
  Request request(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0);
  auto* fixed = static_cast<ifaddrmsg*>(request.Fixed(sizeof(ifaddrmsg)));
  fixed->ifa_family = static_cast<uint8_t>(address.family);
  fixed->ifa_prefixlen = address.prefix;
  // The address is another pod's too for a while: duplicate address detection would find that one.
  if (address.family == AF_INET6) fixed->ifa_flags = IFA_F_NODAD;
  fixed->ifa_index = index;
  size_t length = address.family == AF_INET ? 4 : 16;
  mnl_attr_put(request.header(), IFA_LOCAL, length, address.bytes.data());
  mnl_attr_put(request.header(), IFA_ADDRESS, length, address.bytes.data());
  try {
    netlink.Ask(request, (type == RTM_NEWADDR ? "add address " : "remove address ") + address.Text());
  } catch (const Failure& failure) {
    // Another one's removal has taken it along.
    if (type != RTM_DELADDR || failure.code() != "EADDRNOTAVAIL") throw;
  }
}

// The new ones come first: an interface without an address loses its routes.
void ReplaceAddresses(const std::string& name, const std::vector<Address>& wanted) {
  Interface before = ReadInterface(name);
  Netlink netlink(NETLINK_ROUTE);
  for (const auto& address : wanted) ChangeAddress(netlink, RTM_NEWADDR, before.index, address);
  for (const auto& address : before.addresses) {
    bool is_wanted = std::any_of(wanted.begin(), wanted.end(), [&](const Address& one) { return IsSame(one, address); });
    if (!is_wanted && !IsLinkLocal(address)) ChangeAddress(netlink, RTM_DELADDR, before.index, address);
  }
}

Napi::Value ReplaceAddressesOf(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  if (!info[2].IsArray()) throw Napi::TypeError::New(info.Env(), "addresses must be an array");
  Napi::Array list = info[2].As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t at = 0; at < list.Length(); at++) texts.push_back(list.Get(at).ToString().Utf8Value());
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] {
    std::vector<Address> addresses;
    for (const auto& text : texts) addresses.push_back(ParsePrefix(text));
    ReplaceAddresses(name, addresses);
  });
}

struct HostEnd {
  std::string ifname;
  std::string bridge;  // empty: it has no master
};

HostEnd FindHostEnd(const std::string& host, const std::string& name) {
  Request inside(RTM_GETLINK, 0);
  inside.Fixed(sizeof(ifinfomsg));
  inside.Put(IFLA_IFNAME, name);
  std::optional<uint32_t> peer;
  try {
    Netlink netlink(NETLINK_ROUTE);
    for (const auto& message : netlink.Ask(inside, "read interface " + name))
      if (Netlink::Header(message)->nlmsg_type == RTM_NEWLINK)
        peer = Attributes(Netlink::Header(message), sizeof(ifinfomsg)).U32(IFLA_LINK);
  } catch (const Failure& failure) {
    if (failure.code() != "ENODEV") throw;
  }
  if (!peer) throw Failure("NoSuchInterface", "no interface " + name + " with another end in this network namespace");

  EnterNetns(host);
  Netlink netlink(NETLINK_ROUTE);
  Request outside(RTM_GETLINK, 0);
  static_cast<ifinfomsg*>(outside.Fixed(sizeof(ifinfomsg)))->ifi_index = static_cast<int>(*peer);
  HostEnd end;
  for (const auto& message : netlink.Ask(outside, "read the host's end of " + name)) {
    const nlmsghdr* header = Netlink::Header(message);
    if (header->nlmsg_type != RTM_NEWLINK) continue;
    Attributes of(header, sizeof(ifinfomsg));
    end.ifname = of.Text(IFLA_IFNAME).value_or("");
    char bridge[IF_NAMESIZE] = "";
    if (of.U32(IFLA_MASTER)) if_indextoname(*of.U32(IFLA_MASTER), bridge);
    end.bridge = bridge;
  }
  return end;
}

Napi::Value HostEndOf(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  std::string host = PathArgument(info, 2, "hostNetns");
  return Promise<HostEnd>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return FindHostEnd(host, name); },
      [](Napi::Env env, const HostEnd& end) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("ifname", end.ifname);
        if (!end.bridge.empty()) object.Set("bridge", end.bridge);
        return object;
      });
}

}  // namespace

void ExportAddresses(Napi::Env env, Napi::Object exports) {
  exports.Set("replaceAddresses", Napi::Function::New<ReplaceAddressesOf>(env));
  exports.Set("hostEnd", Napi::Function::New<HostEndOf>(env));
}

}  // namespace sealift

// SPDX-License-Identifier: Apache-2.0
// One address added to an interface or removed from it, with all that rtnetlink lets one say of it (RTM_NEWADDR, RTM_DELADDR;
// net/ipv4/devinet.c, net/ipv6/addrconf.c).
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "arguments.h"
#include "job.h"
#include "netlink.h"
#include "route.h"

namespace sealift {

namespace {

void PutBytes(Request& request, uint16_t attribute, const Address& of, const std::array<uint8_t, 16>& bytes) {
  mnl_attr_put(request.header(), attribute, of.Length(), bytes.data());
}

Request AddressRequest(uint16_t type, uint16_t flags, const std::string& ifname, const Address& address) {
  Request request(type, flags);
  auto* fixed = static_cast<ifaddrmsg*>(request.Fixed(sizeof(ifaddrmsg)));
  fixed->ifa_family = static_cast<uint8_t>(address.family);
  fixed->ifa_prefixlen = address.prefix;
  fixed->ifa_scope = address.scope;
  fixed->ifa_index = IndexOf(ifname);
  PutBytes(request, IFA_LOCAL, address, address.bytes);
  PutBytes(request, IFA_ADDRESS, address, address.peer.value_or(address.bytes));
  return request;
}

void AddAddress(const std::string& ifname, const Address& address) {
  Request request = AddressRequest(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifname, address);
  // Another host may have the address yet: duplicate address detection would find that one.
  uint32_t flags = address.flags | (address.family == AF_INET6 ? IFA_F_NODAD : 0);
  request.Put(IFA_FLAGS, flags);
  if (address.broadcast) PutBytes(request, IFA_BROADCAST, address, *address.broadcast);
  if (!address.label.empty()) request.Put(IFA_LABEL, address.label);
  if (address.metric > 0) request.Put(IFA_RT_PRIORITY, address.metric);
  if (address.valid != UINT32_MAX || address.preferred != UINT32_MAX) {
    ifa_cacheinfo cache{};
    cache.ifa_valid = address.valid;
    cache.ifa_prefered = address.preferred;
    mnl_attr_put(request.header(), IFA_CACHEINFO, sizeof(cache), &cache);
  }
  Netlink(NETLINK_ROUTE).Ask(request, "add address " + address.Text() + " to " + ifname);
}

// False: it was not there.
bool RemoveAddress(const std::string& ifname, const Address& address) {
  Request request = AddressRequest(RTM_DELADDR, 0, ifname, address);
  try {
    Netlink(NETLINK_ROUTE).Ask(request, "remove address " + address.Text() + " from " + ifname);
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == "EADDRNOTAVAIL") return false;
    throw;
  }
}

uint32_t Number(const Napi::Object& from, const char* name, uint32_t absent) {
  if (!from.Has(name) || from.Get(name).IsUndefined()) return absent;
  double number = from.Get(name).IsNumber() ? from.Get(name).As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= UINT32_MAX) || number != static_cast<uint32_t>(number))
    throw Napi::TypeError::New(from.Env(), std::string(name) + " must be a whole number, 0 to 4294967295");
  return static_cast<uint32_t>(number);
}

std::string Text(const Napi::Object& from, const char* name) {
  if (!from.Has(name) || from.Get(name).IsUndefined()) return "";
  if (!from.Get(name).IsString()) throw Napi::TypeError::New(from.Env(), std::string(name) + " must be a string");
  std::string text = from.Get(name).As<Napi::String>();
  if (text.find('\0') != std::string::npos)
    throw Napi::TypeError::New(from.Env(), std::string(name) + " must not contain NUL");
  return text;
}

/// As JavaScript gives it; checked on the work's thread, where a wrong one is a Failure.
struct Wanted {
  std::string address, peer, broadcast, label;
  uint32_t prefix = 0, scope = 0, flags = 0, metric = 0, valid = 0, preferred = 0;

  Address Parse() const {
    Address parsed = ParsePrefix(address + "/" + std::to_string(prefix));
    parsed.peer = Other(peer, parsed);
    parsed.broadcast = Other(broadcast, parsed);
    if (scope > UINT8_MAX) throw Failure("BadArgument", "not a scope: " + std::to_string(scope));
    if (label.size() >= IFNAMSIZ) throw Failure("BadArgument", "not a label: " + label);
    parsed.scope = static_cast<uint8_t>(scope);
    parsed.flags = flags;
    parsed.label = label;
    parsed.metric = metric;
    parsed.valid = valid;
    parsed.preferred = preferred;
    return parsed;
  }

 private:
  static std::optional<std::array<uint8_t, 16>> Other(const std::string& text, const Address& beside) {
    if (text.empty()) return std::nullopt;
    Address other = ParseAddress(text);
    if (other.family != beside.family)
      throw Failure("BadArgument", text + " and " + beside.Text() + " are of different families");
    return other.bytes;
  }
};

Wanted WantedArgument(const Napi::CallbackInfo& info, size_t at) {
  if (!info[at].IsObject()) throw Napi::TypeError::New(info.Env(), "address must be an object");
  Napi::Object from = info[at].As<Napi::Object>();
  Wanted wanted;
  wanted.address = Text(from, "address");
  wanted.peer = Text(from, "peer");
  wanted.broadcast = Text(from, "broadcast");
  wanted.label = Text(from, "label");
  wanted.prefix = Number(from, "prefix", UINT32_MAX);
  wanted.scope = Number(from, "scope", 0);
  wanted.flags = Number(from, "flags", 0);
  wanted.metric = Number(from, "metric", 0);
  wanted.valid = Number(from, "validSeconds", UINT32_MAX);
  wanted.preferred = Number(from, "preferredSeconds", UINT32_MAX);
  return wanted;
}

Napi::Value AddAddressTo(const Napi::CallbackInfo& info) {
  std::string ifname = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  Wanted wanted = WantedArgument(info, 2);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] { AddAddress(ifname, wanted.Parse()); });
}

Napi::Value RemoveAddressFrom(const Napi::CallbackInfo& info) {
  std::string ifname = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  Wanted wanted = WantedArgument(info, 2);
  return Promise<bool>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return RemoveAddress(ifname, wanted.Parse()); },
      [](Napi::Env env, const bool& did) { return Napi::Boolean::New(env, did); });
}

}  // namespace

void ExportAddressChange(Napi::Env env, Napi::Object exports) {
  exports.Set("addAddress", Napi::Function::New<AddAddressTo>(env));
  exports.Set("removeAddress", Napi::Function::New<RemoveAddressFrom>(env));
}

}  // namespace sealift

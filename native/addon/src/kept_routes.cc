// SPDX-License-Identifier: Apache-2.0
// Routes of an interface that others than the kernel have made, kept while its addresses change: those with a preferred
// source go with that address (fib_sync_down_addr() in net/ipv4/fib_semantics.c). They are given back as they were read.
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netlink.h"
#include "route.h"

namespace sealift {

namespace {

using Payload = std::vector<char>;

// What the kernel makes by an address it makes again. Router advertisements come again.
bool IsKept(const rtmsg& route, const Attributes& of, uint32_t index) {
  if (of.U32(RTA_OIF) != index || (route.rtm_flags & RTM_F_CLONED)) return false;
  if (route.rtm_protocol == RTPROT_KERNEL || route.rtm_protocol == RTPROT_REDIRECT || route.rtm_protocol == RTPROT_RA)
    return false;
  return of.U32(RTA_TABLE).value_or(route.rtm_table) != RT_TABLE_LOCAL;
}

// Whole messages without their headers; those without a gateway first, as the others need them.
std::vector<Payload> ReadRoutes(const std::string& ifname) {
  uint32_t index = IndexOf(ifname);
  Netlink netlink(NETLINK_ROUTE);
  std::vector<Payload> direct, others;
  for (int family : {AF_INET, AF_INET6}) {
    Request request(RTM_GETROUTE, NLM_F_DUMP);
    static_cast<rtmsg*>(request.Fixed(sizeof(rtmsg)))->rtm_family = static_cast<uint8_t>(family);
    for (const auto& message : netlink.Ask(request, "list routes of " + ifname)) {
      const nlmsghdr* header = Netlink::Header(message);
      if (header->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(header) < sizeof(rtmsg)) continue;
      const char* start = static_cast<const char*>(mnl_nlmsg_get_payload(header));
      Attributes of(header, sizeof(rtmsg));
      if (!IsKept(*reinterpret_cast<const rtmsg*>(start), of, index)) continue;
      Payload payload(start, start + mnl_nlmsg_get_payload_len(header));
      (of.Get(RTA_GATEWAY) || of.Get(RTA_VIA) ? others : direct).push_back(payload);
    }
  }
  direct.insert(direct.end(), others.begin(), others.end());
  return direct;
}

// How many the kernel refuses: what a gateway or a source address of theirs needs has gone for good.
uint32_t GiveBack(const std::vector<Payload>& routes) {
  Netlink netlink(NETLINK_ROUTE);
  uint32_t refused = 0;
  for (const auto& payload : routes) {
    Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    auto* fixed = static_cast<rtmsg*>(request.Fixed(payload.size()));
    memcpy(static_cast<void*>(fixed), payload.data(), payload.size());
    // The others say what state the kernel has found it in.
    fixed->rtm_flags &= RTNH_F_ONLINK;
    try {
      netlink.Ask(request, "give a route back");
    } catch (const Failure& failure) {
      if (failure.code() == "ETIMEDOUT") throw;
      if (failure.code() != "EEXIST") refused++;
    }
  }
  return refused;
}

Napi::Value KeptRoutesOf(const Napi::CallbackInfo& info) {
  std::string ifname = NameArgument(info, 1, "ifname", IFNAMSIZ - 1);
  return Promise<std::vector<Payload>>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return ReadRoutes(ifname); },
      [](Napi::Env env, const std::vector<Payload>& routes) {
        return ToArray(env, routes, [](Napi::Env in, const Payload& from) {
          return Napi::Buffer<char>::Copy(in, from.data(), from.size());
        });
      });
}

Napi::Value GiveRoutesBack(const Napi::CallbackInfo& info) {
  if (!info[1].IsArray()) throw Napi::TypeError::New(info.Env(), "routes must be an array");
  Napi::Array list = info[1].As<Napi::Array>();
  std::vector<Payload> routes;
  for (uint32_t at = 0; at < list.Length(); at++) {
    Napi::Value one = list[at];
    if (!one.IsBuffer()) throw Napi::TypeError::New(info.Env(), "a route must be a buffer of keptRoutes()");
    auto buffer = one.As<Napi::Buffer<char>>();
    // The request's own buffer has 4096 bytes.
    if (buffer.Length() < sizeof(rtmsg) || buffer.Length() > 3072)
      throw Napi::TypeError::New(info.Env(), "a route must be a buffer of keptRoutes()");
    routes.emplace_back(buffer.Data(), buffer.Data() + buffer.Length());
  }
  return Promise<uint32_t>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return GiveBack(routes); },
      [](Napi::Env env, const uint32_t& refused) { return Napi::Number::New(env, refused); });
}

}  // namespace

void ExportKeptRoutes(Napi::Env env, Napi::Object exports) {
  exports.Set("keptRoutes", Napi::Function::New<KeptRoutesOf>(env));
  exports.Set("giveRoutesBack", Napi::Function::New<GiveRoutesBack>(env));
}

}  // namespace sealift

// SPDX-License-Identifier: Apache-2.0
// A macvlan in bridge mode gets every frame for its MAC that a sibling on the same host sends, though another
// host's interface has that MAC too: a target would take its peers' frames from the source that still runs, a
// source those that are meant for the target. In VEPA mode such frames leave by the wire.
#include "macvlan.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "arguments.h"
#include "job.h"
#include "netlink.h"

namespace sealift {

namespace {

constexpr size_t kLongestInterfaceName = 15;
// In the interface's alias, before what was there: outlives the agent.
const std::string kHidden = "sealift-hidden:";

struct Link {
  int index = 0;
  std::string alias;
  std::optional<uint32_t> mode;  // of a macvlan
};

std::optional<uint32_t> MacvlanMode(const Attributes& link) {
  const nlattr* nest = link.Get(IFLA_LINKINFO);
  if (!nest) return std::nullopt;
  Attributes info(nest);
  if (info.Text(IFLA_INFO_KIND) != "macvlan" || !info.Get(IFLA_INFO_DATA)) return std::nullopt;
  return Attributes(info.Get(IFLA_INFO_DATA)).U32(IFLA_MACVLAN_MODE);
}

Link ReadLink(Netlink& route, const std::string& name) {
  Request request(RTM_GETLINK, 0);
  request.Fixed(sizeof(ifinfomsg));
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
    const auto* fixed = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    Attributes of(header, sizeof(*fixed));
    return Link{fixed->ifi_index, of.Text(IFLA_IFALIAS).value_or(""), MacvlanMode(of)};
  }
  throw Failure("NoSuchInterface", "no interface " + name + " in this network namespace");
}

// Mode and alias in one request: there is no moment in which only one of them is right.
void WriteLink(Netlink& route, const std::string& name, const Link& link) {
  Request request(RTM_NEWLINK, 0);
  static_cast<ifinfomsg*>(request.Fixed(sizeof(ifinfomsg)))->ifi_index = link.index;
  mnl_attr_put(request.header(), IFLA_IFALIAS, link.alias.size(), link.alias.data());
  nlattr* info = mnl_attr_nest_start(request.header(), IFLA_LINKINFO);
  request.Put(IFLA_INFO_KIND, std::string("macvlan"));
  nlattr* data = mnl_attr_nest_start(request.header(), IFLA_INFO_DATA);
  request.Put(IFLA_MACVLAN_MODE, link.mode.value());
  mnl_attr_nest_end(request.header(), data);
  mnl_attr_nest_end(request.header(), info);
  route.Ask(request, "set the macvlan mode of " + name);
}

bool IsHidden(const Link& link) { return link.alias.compare(0, kHidden.size(), kHidden) == 0; }

// `created_hidden`: the interface was created in VEPA mode in order to be hidden; its alias does not say so yet.
bool Hide(const std::string& name, bool created_hidden) {
  Netlink route(NETLINK_ROUTE);
  Link link = ReadLink(route, name);
  bool unmarked = created_hidden && link.mode == MACVLAN_MODE_VEPA && !IsHidden(link);
  if (link.mode != MACVLAN_MODE_BRIDGE && !unmarked) return link.mode && IsHidden(link);
  if (!IsHidden(link)) link.alias = (kHidden + link.alias).substr(0, IFALIASZ - 1);
  link.mode = MACVLAN_MODE_VEPA;
  WriteLink(route, name, link);
  return true;
}

bool Show(const std::string& name) {
  Netlink route(NETLINK_ROUTE);
  Link link = ReadLink(route, name);
  if (!link.mode || !IsHidden(link)) return false;
  link.alias = link.alias.substr(kHidden.size());
  link.mode = MACVLAN_MODE_BRIDGE;
  WriteLink(route, name, link);
  return true;
}

Napi::Value Boolean(Napi::Env env, const bool& did) { return Napi::Boolean::New(env, did); }

Napi::Value HideInterface(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", kLongestInterfaceName);
  bool created_hidden = info[2].ToBoolean();
  return Promise<bool>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return Hide(name, created_hidden); }, Boolean);
}

Napi::Value ShowInterface(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", kLongestInterfaceName);
  return Promise<bool>(
      info.Env(), PathArgument(info, 0, "netns"), [name] { return Show(name); }, Boolean);
}

}  // namespace

void ExportMacvlan(Napi::Env env, Napi::Object exports) {
  exports.Set("hideInterface", Napi::Function::New<HideInterface>(env));
  exports.Set("showInterface", Napi::Function::New<ShowInterface>(env));
}

}  // namespace sealift

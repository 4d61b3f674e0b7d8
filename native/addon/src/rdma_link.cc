// SPDX-License-Identifier: Apache-2.0
// Making, moving, listing and deleting RDMA links (RDMA_NLDEV_CMD_*).
#include "rdma_link.h"

#include <rdma/rdma_netlink.h>
#include <sys/sysmacros.h>

#include <cstdio>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "netns.h"
#include "rdma.h"

namespace sealift {

namespace {

constexpr size_t kLongestInterfaceName = 15;

std::string NetnsMode() {
  Netlink nldev(NETLINK_RDMA);
  Request request = NldevRequest(RDMA_NLDEV_CMD_SYS_GET, 0);
  for (const auto& message : nldev.Ask(request, "read RDMA namespace mode")) {
    auto shared = Attributes(Netlink::Header(message), 0).U8(RDMA_NLDEV_SYS_ATTR_NETNS_MODE);
    if (shared) return *shared ? "shared" : "exclusive";
  }
  throw Failure::FromErrno(ENODATA, "read RDMA namespace mode");
}

void SetNetnsMode(bool shared) {
  Netlink nldev(NETLINK_RDMA);
  Request request = NldevRequest(RDMA_NLDEV_CMD_SYS_SET, 0);
  mnl_attr_put_u8(request.header(), RDMA_NLDEV_SYS_ATTR_NETNS_MODE, shared);
  nldev.Ask(request, "set RDMA namespace mode");
}

void DeleteDevice(Netlink& nldev, const RdmaDevice& device) {
  Request request = NldevRequest(RDMA_NLDEV_CMD_DELLINK, 0);
  request.Put(RDMA_NLDEV_ATTR_DEV_INDEX, device.index);
  nldev.Ask(request, "delete RDMA link " + device.name);
}

void NewLink(Netlink& nldev, const std::string& name, const std::string& netdev) {
  Request request = NldevRequest(RDMA_NLDEV_CMD_NEWLINK, 0);
  request.Put(RDMA_NLDEV_ATTR_DEV_NAME, name);
  request.Put(RDMA_NLDEV_ATTR_LINK_TYPE, std::string("rxe"));
  request.Put(RDMA_NLDEV_ATTR_NDEV_NAME, netdev);
  try {
    nldev.Ask(request, "add RDMA link " + name + " on " + netdev);
  } catch (const Failure& failure) {
    // The RDMA core says ENFILE for a name that is taken, EINVAL for a link type that it lacks.
    if (failure.code() == "ENFILE")
      throw Failure::FromErrno(EEXIST, "add RDMA link " + name + ": name taken on this host");
    if (failure.code() == "EINVAL")
      throw Failure::FromErrno(ENODEV, "add RDMA link " + name + ": rdma_rxe is not loaded");
    throw;
  }
}

// The distribution's own driver puts every device into the first namespace and cannot move it.
void DeleteInInit(const std::string& name) {
  EnterNetns(kInitNetns);
  Netlink nldev(NETLINK_RDMA);
  if (auto device = FindRdmaDevice(nldev, name)) DeleteDevice(nldev, *device);
}

void AddLink(const std::string& name, const std::string& netdev) {
  {
    Netlink nldev(NETLINK_RDMA);
    NewLink(nldev, name, netdev);
    if (FindRdmaDevice(nldev, name)) return;
  }
  DeleteInInit(name);
  throw Failure("AbiMismatch", "add RDMA link " + name +
                                   ": this rdma_rxe does not know network namespaces");
}

Napi::Object DeviceObject(Napi::Env env, const RdmaDevice& device,
                          const std::optional<Chardev>& chardev) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", device.index);
  object.Set("name", device.name);
  char guid[20];
  snprintf(guid, sizeof(guid), "%04x:%04x:%04x:%04x",
           static_cast<unsigned>(device.node_guid >> 48) & 0xffff,
           static_cast<unsigned>(device.node_guid >> 32) & 0xffff,
           static_cast<unsigned>(device.node_guid >> 16) & 0xffff,
           static_cast<unsigned>(device.node_guid) & 0xffff);
  object.Set("nodeGuid", guid);
  if (device.netdev) object.Set("netdev", *device.netdev);
  if (chardev) {
    Napi::Object uverbs = Napi::Object::New(env);
    uverbs.Set("name", chardev->name);
    uverbs.Set("major", major(chardev->number));
    uverbs.Set("minor", minor(chardev->number));
    object.Set("uverbs", uverbs);
  }
  return object;
}

Napi::Value RdmaNetnsMode(const Napi::CallbackInfo& info) {
  return Promise<std::string>(
      info.Env(), "", NetnsMode,
      [](Napi::Env env, const std::string& mode) { return Napi::String::New(env, mode); });
}

Napi::Value SetRdmaNetnsMode(const Napi::CallbackInfo& info) {
  std::string mode = StringArgument(info, 0, "mode");
  if (mode != "shared" && mode != "exclusive")
    throw Napi::TypeError::New(info.Env(), "mode must be shared or exclusive");
  return PromiseDone(info.Env(), "", [mode] { SetNetnsMode(mode == "shared"); });
}

Napi::Value RdmaLinkAdd(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "name", kLongestRdmaName);
  std::string netdev = NameArgument(info, 2, "netdev", kLongestInterfaceName);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] { AddLink(name, netdev); });
}

Napi::Value RdmaLinkDelete(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "name", kLongestRdmaName);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [name] {
    Netlink nldev(NETLINK_RDMA);
    DeleteDevice(nldev, RequireRdmaDevice(nldev, name));
  });
}

struct Listed {
  RdmaDevice device;
  std::optional<Chardev> chardev;
};

std::vector<Listed> ListDevices() {
  Netlink nldev(NETLINK_RDMA);
  std::vector<Listed> list;
  for (auto& device : RdmaDevices(nldev)) {
    auto chardev = UverbsChardev(nldev, device.index);
    list.push_back({std::move(device), std::move(chardev)});
  }
  return list;
}

Napi::Value RdmaDevicesOf(const Napi::CallbackInfo& info) {
  return Promise<std::vector<Listed>>(
      info.Env(), PathArgument(info, 0, "netns"), ListDevices,
      [](Napi::Env env, const std::vector<Listed>& list) {
        return ToArray(env, list, [](Napi::Env in, const Listed& one) {
          return DeviceObject(in, one.device, one.chardev);
        });
      });
}

}  // namespace

void ExportRdmaLink(Napi::Env env, Napi::Object exports) {
  exports.Set("rdmaNetnsMode", Napi::Function::New<RdmaNetnsMode>(env));
  exports.Set("setRdmaNetnsMode", Napi::Function::New<SetRdmaNetnsMode>(env));
  exports.Set("rdmaLinkAdd", Napi::Function::New<RdmaLinkAdd>(env));
  exports.Set("rdmaLinkDelete", Napi::Function::New<RdmaLinkDelete>(env));
  exports.Set("rdmaDevices", Napi::Function::New<RdmaDevicesOf>(env));
}

}  // namespace sealift

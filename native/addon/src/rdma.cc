// SPDX-License-Identifier: Apache-2.0
#include "rdma.h"

#include <rdma/rdma_netlink.h>
#include <sys/sysmacros.h>

#include "failure.h"

namespace sealift {

Request NldevRequest(int command, uint16_t flags) {
  return Request(static_cast<uint16_t>(RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command)), flags);
}

std::vector<RdmaDevice> RdmaDevices(Netlink& nldev) {
  std::vector<RdmaDevice> devices;
  Request request = NldevRequest(RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
  for (const auto& message : nldev.Ask(request, "list RDMA devices")) {
    Attributes of(Netlink::Header(message), 0);
    auto index = of.U32(RDMA_NLDEV_ATTR_DEV_INDEX);
    auto name = of.Text(RDMA_NLDEV_ATTR_DEV_NAME);
    if (!index || !name) continue;
    RdmaDevice device;
    device.index = *index;
    device.name = *name;
    device.node_guid = of.U64(RDMA_NLDEV_ATTR_NODE_GUID).value_or(0);
    devices.push_back(std::move(device));
  }
  for (auto& device : devices) {
    Request ports = NldevRequest(RDMA_NLDEV_CMD_PORT_GET, NLM_F_DUMP);
    ports.Put(RDMA_NLDEV_ATTR_DEV_INDEX, device.index);
    for (const auto& message : nldev.Ask(ports, "list ports of " + device.name)) {
      Attributes of(Netlink::Header(message), 0);
      if (of.U32(RDMA_NLDEV_ATTR_PORT_INDEX) == 1u) device.netdev = of.Text(RDMA_NLDEV_ATTR_NDEV_NAME);
    }
  }
  return devices;
}

std::optional<RdmaDevice> FindRdmaDevice(Netlink& nldev, const std::string& name) {
  for (auto& device : RdmaDevices(nldev))
    if (device.name == name) return device;
  return std::nullopt;
}

RdmaDevice RequireRdmaDevice(Netlink& nldev, const std::string& name) {
  auto device = FindRdmaDevice(nldev, name);
  if (!device) throw Failure("NoSuchDevice", "no RDMA device " + name + " in this network namespace");
  return *device;
}

std::optional<Chardev> UverbsChardev(Netlink& nldev, uint32_t index) {
  Request request = NldevRequest(RDMA_NLDEV_CMD_GET_CHARDEV, 0);
  request.Put(RDMA_NLDEV_ATTR_CHARDEV_TYPE, std::string("uverbs"));
  request.Put(RDMA_NLDEV_ATTR_DEV_INDEX, index);
  std::vector<Netlink::Message> messages;
  try {
    messages = nldev.Ask(request, "look up uverbs device");
  } catch (const Failure& failure) {
    // No such client: the ib_uverbs module is not there.
    if (failure.code() == "ENODEV" || failure.code() == "ENOENT" || failure.code() == "EOPNOTSUPP")
      return std::nullopt;
    throw;
  }
  for (const auto& message : messages) {
    Attributes of(Netlink::Header(message), 0);
    auto name = of.Text(RDMA_NLDEV_ATTR_CHARDEV_NAME);
    auto encoded = of.U64(RDMA_NLDEV_ATTR_CHARDEV);
    if (!name || !encoded) continue;
    // The kernel's own encoding of a device number: 12 bits of major amid 20 of minor.
    auto value = static_cast<uint32_t>(*encoded);
    uint32_t major = (value >> 8) & 0xfff;
    uint32_t minor = (value & 0xff) | ((value >> 12) & 0xfff00);
    return Chardev{*name, makedev(major, minor)};
  }
  return std::nullopt;
}

const char* QpTypeName(uint32_t type) {
  static constexpr const char* kNames[] = {"SMI",   "GSI",       "RC",    "UC",         "UD",     "RAW_IPV6",
                                           "RAW_ETHERTYPE", "OTHER", "RAW_PACKET", "XRC_INI", "XRC_TGT"};
  return type < std::size(kNames) ? kNames[type] : "OTHER";
}

}  // namespace sealift
